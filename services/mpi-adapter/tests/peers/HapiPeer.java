// An independent HL7 v2 peer: HAPI's own MLLP server and parser, with its default validation.
// It answers PDQ and PIX queries about one invented person and nobody else.
import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.util.Terser;
import java.nio.charset.StandardCharsets;
import java.util.Map;

public final class HapiPeer {
    public static void main(String[] arguments) throws Exception {
        DefaultHapiContext context = new DefaultHapiContext();
        MinLowerLayerProtocol protocol = new MinLowerLayerProtocol();
        protocol.setCharset(StandardCharsets.UTF_8);
        context.setLowerLayerProtocol(protocol);
        HL7Service server = context.newServer(Integer.parseInt(arguments[0]), false);
        server.registerApplication(new ReceivingApplication<Message>() {
            public boolean canProcess(Message message) {
                return true;
            }

            public Message processMessage(Message message, Map<String, Object> metadata) throws HL7Exception {
                try {
                    return context.getPipeParser().parse(answer(context, message));
                } catch (Exception error) {
                    throw new HL7Exception(error);
                }
            }
        });
        server.startAndWait();
        System.out.println("ready");
    }

    private static String answer(DefaultHapiContext context, Message message) throws Exception {
        Terser terser = new Terser(message);
        String control = terser.get("/.MSH-10");
        String trigger = terser.get("/.MSH-9-2");
        String tag = terser.get("/.QPD-2");
        String query = context.getPipeParser().encode(message);
        String echo = "";
        for (String segment : query.split("\r")) {
            if (segment.startsWith("QPD")) {
                echo = segment;
            }
        }
        boolean pix = "Q23".equals(trigger);
        boolean known = echo.contains("4711");
        String kind = pix ? "RSP^K23^RSP_K23" : "RSP^K22^RSP_K21";
        StringBuilder answer = new StringBuilder();
        answer.append("MSH|^~\\&|MPI|S|DSF|S|20231114221320+0000||").append(kind)
              .append("|").append(System.nanoTime() % 100000).append("|P|2.5||||||UNICODE UTF-8\r");
        answer.append("MSA|AA|").append(control).append("\r");
        answer.append("QAK|").append(tag).append(known ? "|OK" : "|NF").append("\r");
        answer.append(echo).append("\r");
        if (known && pix) {
            answer.append("PID|||0815^^^KIS&2.999.1.30&ISO^MR||~^^^^^^S\r");
        } else if (known) {
            answer.append("PID|1||4711^^^E&2.999.1.10&ISO^PI||Gr\u00fcnwald-\u00d6zdemir^Liselotte^Maria^^^Dr^L||19800307|F")
                  .append("|||Lindenstra\u00dfe 12a^^G\u00f6ttingen^^37073^DEU^H\r");
        }
        return answer.toString();
    }
}
