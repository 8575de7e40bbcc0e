package peer;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.openehealth.ipf.commons.xml.CombinedXmlValidationProfile;
import org.openehealth.ipf.commons.xml.CombinedXmlValidator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * A stand-in for a patient index over SOAP: ours, because IPF's own endpoint needs a package that is not on Maven
 * Central. What it gets and what it answers are held against the schemas of HL7 v3 and, for ITI-47, the rules of IHE
 * as IPF ships them; a violation is a fault.
 */
final class Version3 extends HttpServlet {
    private static final CombinedXmlValidator VALIDATOR = new CombinedXmlValidator();

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        response.setContentType("application/soap+xml; charset=UTF-8");
        String answer;
        try {
            answer = answer(request.getInputStream().readAllBytes());
        } catch (Exception violation) {
            System.err.println("hl7v3: " + violation);
            response.setStatus(500);
            answer = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>"
                + "</s:Code><s:Reason><s:Text xml:lang=\"en\">invalid</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>";
        }
        response.getOutputStream().write(answer.getBytes(StandardCharsets.UTF_8));
    }

    private static String answer(byte[] body) throws Exception {
        Document envelope = read(body);
        Element message = message(envelope);
        String text = write(message);
        check(message.getLocalName(), text);
        String id = attribute(message, "id", "root");
        String queryRoot = attribute(message, "queryId", "root");
        String query = attribute(message, "queryId", "extension");
        boolean known = text.contains("\"" + Main.PERSON + "\"") || text.contains("Gr\u00fcnwald");
        boolean pix = message.getLocalName().equals("PRPA_IN201309UV02");
        String kind = pix ? "PRPA_IN201310UV02" : "PRPA_IN201306UV02";
        String person = pix
            ? "<id root=\"2.999.1.30\" extension=\"0815\"/><statusCode code=\"active\"/><patientPerson classCode=\"PSN\" determinerCode=\"INSTANCE\"><name nullFlavor=\"NA\"/></patientPerson>"
            : "<id root=\"2.999.1.10\" extension=\"4711\"/><statusCode code=\"active\"/><patientPerson classCode=\"PSN\" determinerCode=\"INSTANCE\">"
                + "<name use=\"L\"><given>Liselotte</given><family>Gr\u00fcnwald-\u00d6zdemir</family></name>"
                + "<administrativeGenderCode code=\"F\" codeSystem=\"2.16.840.1.113883.5.1\"/><birthTime value=\"19800307\"/>"
                + "<addr><streetAddressLine>Lindenstra\u00dfe 12a</streetAddressLine><city>G\u00f6ttingen</city><postalCode>37073</postalCode><country>DE</country></addr></patientPerson>";
        String observation = pix ? "" : "<subjectOf1><queryMatchObservation classCode=\"OBS\" moodCode=\"EVN\">"
            + "<code code=\"IHE_PDQ\"/><value xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"INT\" value=\"100\"/></queryMatchObservation></subjectOf1>";
        String provider = "<providerOrganization classCode=\"ORG\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.10\"/><name>S</name>"
            + "<contactParty classCode=\"CON\"><telecom value=\"tel:+49-551-0\"/></contactParty></providerOrganization>";
        String subject = !known ? "" : "<subject typeCode=\"SUBJ\" contextConductionInd=\"false\"><registrationEvent classCode=\"REG\" moodCode=\"EVN\">"
            + "<statusCode code=\"active\"/><subject1 typeCode=\"SBJ\"><patient classCode=\"PAT\">" + person + provider + observation
            + "</patient></subject1><custodian typeCode=\"CST\"><assignedEntity classCode=\"ASSIGNED\"><id root=\"2.999.1.2\"/></assignedEntity></custodian>"
            + "</registrationEvent></subject>";
        String echo = write(child(child(message, "controlActProcess"), "queryByParameter"));
        String out = "<" + kind + " xmlns=\"urn:hl7-org:v3\" ITSVersion=\"XML_1.0\"><id root=\"6e6b5a3a-47a9-4f5c-9f54-8a2d7a0f1f01\"/>"
            + "<creationTime value=\"20231114221320\"/><interactionId root=\"2.16.840.1.113883.1.6\" extension=\"" + kind + "\"/>"
            + "<processingCode code=\"P\"/><processingModeCode code=\"T\"/><acceptAckCode code=\"NE\"/>"
            + "<receiver typeCode=\"RCV\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.1\"/></device></receiver>"
            + "<sender typeCode=\"SND\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.2\"/></device></sender>"
            + "<acknowledgement><typeCode code=\"AA\"/><targetMessage><id root=\"" + id + "\"/></targetMessage></acknowledgement>"
            + "<controlActProcess classCode=\"CACT\" moodCode=\"EVN\"><code code=\"" + kind.replace("_IN", "_TE") + "\" codeSystem=\"2.16.840.1.113883.1.6\"/>"
            + subject + "<queryAck><queryId root=\"" + queryRoot + "\" extension=\"" + query + "\"/><statusCode code=\"deliveredResponse\"/>"
            + "<queryResponseCode code=\"" + (known ? "OK" : "NF") + "\"/></queryAck>" + echo + "</controlActProcess></" + kind + ">";
        check(kind, out);
        String messageId = envelope.getElementsByTagNameNS("http://www.w3.org/2005/08/addressing", "MessageID").item(0).getTextContent();
        return "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:w=\"http://www.w3.org/2005/08/addressing\"><s:Header><w:RelatesTo>"
            + messageId + "</w:RelatesTo></s:Header><s:Body>" + out + "</s:Body></s:Envelope>";
    }

    private static void check(String root, String text) throws Exception {
        String rules = "schematron/iti47/" + root + ".sch.xml";
        boolean ruled = Version3.class.getClassLoader().getResource(rules) != null;
        VALIDATOR.validate(text, new CombinedXmlValidationProfile() {
            public boolean isValidRootElement(String name) {
                return root.equals(name);
            }

            public String getXsdPath(String name) {
                return "schema/HL7V3/NE2008/multicacheschemas/" + root + ".xsd";
            }

            public String getSchematronPath(String name) {
                return ruled ? rules : null;
            }

            public Map<String, Object> getCustomSchematronParameters(String name) {
                return null;
            }
        });
    }

    static Document read(byte[] body) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(body));
    }

    static Element message(Document envelope) {
        return first((Element) envelope.getElementsByTagNameNS("http://www.w3.org/2003/05/soap-envelope", "Body").item(0));
    }

    static String write(Node node) throws Exception {
        Transformer transformer = TransformerFactory.newInstance().newTransformer();
        transformer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
        StringWriter text = new StringWriter();
        transformer.transform(new DOMSource(node), new StreamResult(text));
        return text.toString();
    }

    private static Element first(Element parent) {
        Node node = parent.getFirstChild();
        while (!(node instanceof Element)) {
            node = node.getNextSibling();
        }
        return (Element) node;
    }

    private static Element child(Element parent, String name) {
        return (Element) parent.getElementsByTagNameNS("*", name).item(0);
    }

    private static String attribute(Element parent, String name, String attribute) {
        return child(parent, name).getAttribute(attribute);
    }
}
