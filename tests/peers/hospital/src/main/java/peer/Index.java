package peer;

import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.util.Terser;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.hl7.HL7MLLPNettyDecoderFactory;
import org.apache.camel.component.hl7.HL7MLLPNettyEncoderFactory;
import org.apache.camel.impl.DefaultCamelContext;
import org.openehealth.ipf.platform.camel.ihe.mllp.PixPdqCamelValidators;

/**
 * A patient index over MLLP: the ITI-21 and ITI-9 endpoints of IPF. Requests and answers are held against the
 * conformance profiles of IHE's test tool before they go on; a violation is an error answer.
 * The PIX endpoint has the port after that of the PDQ endpoint.
 */
final class Index {
    static int start() throws Exception {
        int port = Main.freePort();
        DefaultCamelContext camel = new DefaultCamelContext();
        HL7MLLPNettyEncoderFactory encoder = new HL7MLLPNettyEncoderFactory();
        encoder.setCharset("UTF-8");
        HL7MLLPNettyDecoderFactory decoder = new HL7MLLPNettyDecoderFactory();
        decoder.setCharset("UTF-8");
        camel.getRegistry().bind("hl7encoder", encoder);
        camel.getRegistry().bind("hl7decoder", decoder);
        camel.addRoutes(new RouteBuilder() {
            public void configure() {
                from("pdq-iti21://127.0.0.1:" + port + "?audit=false")
                    .process(PixPdqCamelValidators.iti21RequestValidator())
                    .process(Index::demographics)
                    .process(PixPdqCamelValidators.iti21ResponseValidator());
                from("pix-iti9://127.0.0.1:" + (port + 1) + "?audit=false")
                    .process(PixPdqCamelValidators.iti9RequestValidator())
                    .process(Index::references)
                    .process(PixPdqCamelValidators.iti9ResponseValidator());
            }
        });
        camel.start();
        return port;
    }

    private static void demographics(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(Message.class).encode();
        boolean known = query.contains(Main.PERSON) || query.contains("Gr\u00fcnwald");
        String person = "PID|1||4711^^^E&2.999.1.10&ISO^PI||Gr\u00fcnwald-\u00d6zdemir^Liselotte^Maria^^^^L||19800307|F"
            + "|||Lindenstra\u00dfe 12a^^G\u00f6ttingen^^37073^DEU^H\r";
        answer(exchange, query, "RSP^K22^RSP_K21", known, person);
    }

    private static void references(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(Message.class).encode();
        answer(exchange, query, "RSP^K23^RSP_K23", query.contains(Main.PERSON), "PID|||0815^^^KIS&2.999.1.30&ISO^MR||~^^^^^^S\r");
    }

    private static void answer(Exchange exchange, String query, String kind, boolean known, String person) throws Exception {
        Message message = exchange.getIn().getBody(Message.class);
        Terser terser = new Terser(message);
        String echo = "";
        for (String segment : query.split("\r")) {
            echo = segment.startsWith("QPD") ? segment : echo;
        }
        String text = "MSH|^~\\&|MPI|S|DSF|S|20231114221320+0000||" + kind + "|" + System.nanoTime() % 100000
            + "|P|2.5||||||UNICODE UTF-8\rMSA|AA|" + terser.get("/.MSH-10") + "\rQAK|" + terser.get("/.QPD-2")
            + (known ? "|OK" : "|NF") + "\r" + echo + "\r" + (known ? person : "");
        exchange.getMessage().setBody(message.getParser().parse(text));
    }
}
