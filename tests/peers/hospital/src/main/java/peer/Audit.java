package peer;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import javax.xml.transform.stream.StreamSource;
import org.openehealth.ipf.commons.audit.unmarshal.dicom.DICOMAuditParser;
import org.openehealth.ipf.commons.xml.XsdValidator;

/**
 * Judges audit messages of classic ATNA: the schema of DICOM that IPF ships, then IPF's parser and its rules. The answer
 * is empty, or says what is wrong. Nothing arrives here but from a test: over syslog IPF only sends.
 */
final class Audit extends HttpServlet {
    private static final XsdValidator SCHEMA = new XsdValidator();

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String message = new String(request.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            SCHEMA.validate(new StreamSource(new StringReader(message)), "dicom2017c.xsd");
            new DICOMAuditParser().parse(message, true).validate();
        } catch (Exception violation) {
            response.setCharacterEncoding("UTF-8");
            response.getWriter().print(violation);
        }
    }
}
