package peer;

import ca.uhn.hl7v2.AcknowledgmentCode;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.util.Terser;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.Processor;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.hl7.HL7MLLPNettyDecoderFactory;
import org.apache.camel.component.hl7.HL7MLLPNettyEncoderFactory;
import org.openehealth.ipf.gazelle.validation.profile.pixpdq.PixPdqTransactions;
import org.openehealth.ipf.platform.camel.hl7.validation.ConformanceProfileValidators;
import org.openehealth.ipf.platform.camel.ihe.core.Interceptor;
import org.openehealth.ipf.platform.camel.ihe.core.InterceptorFactory;
import org.openehealth.ipf.platform.camel.ihe.core.InterceptorSupport;
import org.openehealth.ipf.platform.camel.ihe.mllp.PixPdqCamelValidators;
import org.openehealth.ipf.platform.camel.ihe.mllp.core.intercept.consumer.ConsumerInteractiveResponseSenderInterceptor;

/**
 * A patient index over MLLP: the ITI-21 and ITI-9 endpoints of IPF, which cuts answers into pages itself. Every message
 * that arrives, one that asks for a page or cancels too, and every answer is held against the conformance profiles of
 * IHE's test tool before it goes on; a violation is an error answer.
 * The PIX endpoint has the port after that of the PDQ endpoint.
 */
final class Index {
    private static final String SERVED = "?audit=false&supportInteractiveContinuation=true"
        + "&interactiveContinuationStorage=#pages&interceptorFactories=#checked";
    private static final AtomicInteger SECURED = new AtomicInteger();

    static int start(CamelContext camel) throws Exception {
        int port = Main.freePort();
        HL7MLLPNettyEncoderFactory encoder = new HL7MLLPNettyEncoderFactory();
        encoder.setCharset("UTF-8");
        HL7MLLPNettyDecoderFactory decoder = new HL7MLLPNettyDecoderFactory();
        decoder.setCharset("UTF-8");
        camel.getRegistry().bind("hl7encoder", encoder);
        camel.getRegistry().bind("hl7decoder", decoder);
        camel.getRegistry().bind("pages", new Pages.Version2());
        camel.getRegistry().bind("checked", new Checked.Factory());
        demographics(camel, port, SERVED);
        camel.addRoutes(new RouteBuilder() {
            public void configure() {
                from("pix-iti9://127.0.0.1:" + (port + 1) + "?audit=false")
                    .process(PixPdqCamelValidators.iti9RequestValidator())
                    .process(Index::references)
                    .process(PixPdqCamelValidators.iti9ResponseValidator());
            }
        });
        return port;
    }

    /** A PDQ endpoint with TLS, for clients of an authority alone; all are PEM files. */
    static int secured(CamelContext camel, Path authority, Path certificate, Path key) throws Exception {
        int port = Main.freePort();
        String name = "tls" + SECURED.incrementAndGet();
        camel.getRegistry().bind(name, context(authority, certificate, key));
        demographics(camel, port, SERVED + "&secure=true&clientAuth=MUST&sslContext=#" + name);
        return port;
    }

    private static void demographics(CamelContext camel, int port, String options) throws Exception {
        camel.addRoutes(new RouteBuilder() {
            public void configure() {
                from("pdq-iti21://127.0.0.1:" + port + options)
                    .process(Index::demographics)
                    .process(PixPdqCamelValidators.iti21ResponseValidator());
            }
        });
    }

    private static SSLContext context(Path authority, Path certificate, Path key) throws Exception {
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        String pem = Files.readString(key).replaceAll("-----[A-Z ]*-----|\\s", "");
        PrivateKey secret = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
        own.setKeyEntry("index", secret, new char[0], new Certificate[] {read(certificate)});
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, new char[0]);
        KeyStore others = KeyStore.getInstance("PKCS12");
        others.load(null, null);
        others.setCertificateEntry("authority", read(authority));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(others);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static Certificate read(Path file) throws Exception {
        try (InputStream pem = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificate(pem);
        }
    }

    private static void demographics(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(Message.class).encode();
        List<String> persons = List.of();
        if (query.contains(Main.PERSON) || query.contains("Gr\u00fcnwald")) {
            persons = List.of(person(Main.PERSON, "Gr\u00fcnwald-\u00d6zdemir"));
        } else if (query.contains(Main.MANY)) {
            persons = Main.MANY_IDS.stream().map(id -> person(id, Main.MANY)).toList();
        }
        answer(exchange, query, "RSP^K22^RSP_K21", persons);
    }

    private static String person(String id, String name) {
        return "PID|||" + id + "^^^E&2.999.1.10&ISO^PI||" + name + "^Liselotte^Maria^^^^L||19800307|F"
            + "|||Lindenstra\u00dfe 12a^^G\u00f6ttingen^^37073^DEU^H\r";
    }

    private static void references(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(Message.class).encode();
        boolean known = query.contains(Main.PERSON);
        answer(exchange, query, "RSP^K23^RSP_K23", known ? List.of("PID|||0815^^^KIS&2.999.1.30&ISO^MR||~^^^^^^S\r") : List.of());
    }

    private static void answer(Exchange exchange, String query, String kind, List<String> persons) throws Exception {
        Message message = exchange.getIn().getBody(Message.class);
        Terser terser = new Terser(message);
        String echo = "";
        for (String segment : query.split("\r")) {
            echo = segment.startsWith("QPD") ? segment : echo;
        }
        String text = "MSH|^~\\&|MPI|S|DSF|S|20231114221320+0000||" + kind + "|" + System.nanoTime() % 100000
            + "|P|2.5||||||UNICODE UTF-8\rMSA|AA|" + terser.get("/.MSH-10") + "\rQAK|" + terser.get("/.QPD-2")
            + (persons.isEmpty() ? "|NF" : "|OK") + "\r" + echo + "\r" + String.join("", persons);
        exchange.getMessage().setBody(message.getParser().parse(text));
    }

    /** Holds what arrives against its profile before IPF looks for a page of its own. */
    static final class Checked extends InterceptorSupport {
        private static final Processor PROFILES = ConformanceProfileValidators.validatingProcessor(PixPdqTransactions.ITI21);

        Checked() {
            addBefore(ConsumerInteractiveResponseSenderInterceptor.class.getName());
        }

        @Override
        public void process(Exchange exchange) throws Exception {
            try {
                PROFILES.process(exchange);
            } catch (Exception violation) {
                System.err.println("mllp: " + violation);
                Message message = exchange.getIn().getBody(Message.class);
                HL7Exception told = new HL7Exception(violation.getMessage().replace("\n", "; "));
                exchange.getMessage().setBody(message.generateACK(AcknowledgmentCode.AE, told).encode());
                return;
            }
            getWrappedProcessor().process(exchange);
        }

        static final class Factory implements InterceptorFactory {
            public Interceptor getNewInstance() {
                return new Checked();
            }
        }
    }
}
