package peer;

import java.io.ByteArrayInputStream;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.openehealth.ipf.platform.camel.ihe.hl7v3.PixPdqV3CamelValidators;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * A patient index over SOAP: the ITI-47 and ITI-45 endpoints of IPF, which cuts answers into pages itself. Queries and
 * answers are held against the schemas of HL7 and the rules of IHE that IPF ships; a violation is an error answer.
 */
final class Version3 extends RouteBuilder {
    @Override
    public void configure() {
        getContext().getRegistry().bind("pages3", new Pages.Version3());
        from("pdqv3-iti47:iti47?audit=false&supportContinuation=true&validationOnContinuation=true&continuationStorage=#pages3")
            .process(PixPdqV3CamelValidators.iti47RequestValidator())
            .process(Version3::demographics)
            .process(PixPdqV3CamelValidators.iti47ResponseValidator());
        from("pixv3-iti45:iti45?audit=false")
            .process(PixPdqV3CamelValidators.iti45RequestValidator())
            .process(Version3::references)
            .process(PixPdqV3CamelValidators.iti45ResponseValidator());
    }

    private static void demographics(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(String.class);
        List<String> persons = List.of();
        if (query.contains("\"" + Main.PERSON + "\"") || query.contains("Gr\u00fcnwald")) {
            persons = List.of(person(Main.PERSON, "Gr\u00fcnwald-\u00d6zdemir"));
        } else if (query.contains(Main.MANY)) {
            persons = Main.MANY_IDS.stream().map(id -> person(id, Main.MANY)).toList();
        }
        answer(exchange, query, "PRPA_IN201306UV02", persons);
    }

    private static void references(Exchange exchange) throws Exception {
        String query = exchange.getIn().getBody(String.class);
        boolean known = query.contains("\"" + Main.PERSON + "\"");
        String person = "<id root=\"2.999.1.30\" extension=\"0815\"/><statusCode code=\"active\"/>"
            + "<patientPerson classCode=\"PSN\" determinerCode=\"INSTANCE\"><name nullFlavor=\"NA\"/></patientPerson>";
        answer(exchange, query, "PRPA_IN201310UV02", known ? List.of(person) : List.of());
    }

    private static String person(String id, String name) {
        return "<id root=\"" + Main.OID + "\" extension=\"" + id + "\"/><statusCode code=\"active\"/>"
            + "<patientPerson classCode=\"PSN\" determinerCode=\"INSTANCE\"><name use=\"L\"><given>Liselotte</given><family>" + name + "</family></name>"
            + "<administrativeGenderCode code=\"F\" codeSystem=\"2.16.840.1.113883.5.1\"/><birthTime value=\"19800307\"/>"
            + "<addr><streetAddressLine>Lindenstra\u00dfe 12a</streetAddressLine><city>G\u00f6ttingen</city><postalCode>37073</postalCode><country>DE</country></addr></patientPerson>";
    }

    private static void answer(Exchange exchange, String query, String kind, List<String> persons) throws Exception {
        Element message = read(query);
        String observation = kind.equals("PRPA_IN201310UV02") ? "" : "<subjectOf1><queryMatchObservation classCode=\"OBS\" moodCode=\"EVN\">"
            + "<code code=\"IHE_PDQ\"/><value xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"INT\" value=\"100\"/></queryMatchObservation></subjectOf1>";
        String provider = "<providerOrganization classCode=\"ORG\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.10\"/><name>S</name>"
            + "<contactParty classCode=\"CON\"><telecom value=\"tel:+49-551-0\"/></contactParty></providerOrganization>";
        StringBuilder subjects = new StringBuilder();
        for (String person : persons) {
            subjects.append("<subject typeCode=\"SUBJ\" contextConductionInd=\"false\"><registrationEvent classCode=\"REG\" moodCode=\"EVN\">"
                + "<statusCode code=\"active\"/><subject1 typeCode=\"SBJ\"><patient classCode=\"PAT\">" + person + provider + observation
                + "</patient></subject1><custodian typeCode=\"CST\"><assignedEntity classCode=\"ASSIGNED\"><id root=\"2.999.1.2\"/></assignedEntity></custodian>"
                + "</registrationEvent></subject>");
        }
        String count = "<resultTotalQuantity value=\"" + persons.size() + "\"/><resultCurrentQuantity value=\"" + persons.size()
            + "\"/><resultRemainingQuantity value=\"0\"/>";
        String echo = write(child(child(message, "controlActProcess"), "queryByParameter"));
        exchange.getMessage().setBody("<" + kind + " xmlns=\"urn:hl7-org:v3\" ITSVersion=\"XML_1.0\"><id root=\"6e6b5a3a-47a9-4f5c-9f54-8a2d7a0f1f01\"/>"
            + "<creationTime value=\"20231114221320\"/><interactionId root=\"2.16.840.1.113883.1.6\" extension=\"" + kind + "\"/>"
            + "<processingCode code=\"P\"/><processingModeCode code=\"T\"/><acceptAckCode code=\"NE\"/>"
            + "<receiver typeCode=\"RCV\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.1\"/></device></receiver>"
            + "<sender typeCode=\"SND\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\"><id root=\"2.999.1.2\"/></device></sender>"
            + "<acknowledgement><typeCode code=\"AA\"/><targetMessage><id root=\"" + child(message, "id").getAttribute("root") + "\"/></targetMessage></acknowledgement>"
            + "<controlActProcess classCode=\"CACT\" moodCode=\"EVN\"><code code=\"" + kind.replace("_IN", "_TE") + "\" codeSystem=\"2.16.840.1.113883.1.6\"/>"
            + subjects + "<queryAck>" + write(child(message, "queryId")) + "<statusCode code=\"deliveredResponse\"/>"
            + "<queryResponseCode code=\"" + (persons.isEmpty() ? "NF" : "OK") + "\"/>" + count + "</queryAck>" + echo + "</controlActProcess></" + kind + ">");
    }

    private static Element read(String text) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8))).getDocumentElement();
    }

    private static String write(Node node) throws Exception {
        Transformer transformer = TransformerFactory.newInstance().newTransformer();
        transformer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
        StringWriter text = new StringWriter();
        transformer.transform(new DOMSource(node), new StreamResult(text));
        return text.toString();
    }

    private static Element child(Element parent, String name) {
        return (Element) parent.getElementsByTagNameNS("*", name).item(0);
    }
}
