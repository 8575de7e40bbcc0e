package peer;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Map;
import javax.servlet.DispatcherType;
import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.ReadListener;
import javax.servlet.ServletException;
import javax.servlet.ServletInputStream;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletRequestWrapper;
import javax.servlet.http.HttpServletResponse;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.dom.DOMSource;
import org.apache.cxf.BusFactory;
import org.apache.cxf.transport.servlet.CXFNonSpringServlet;
import org.eclipse.jetty.ee8.servlet.FilterHolder;
import org.eclipse.jetty.ee8.servlet.ServletContextHandler;
import org.eclipse.jetty.ee8.servlet.ServletHolder;
import org.openehealth.ipf.commons.xml.SchematronProfile;
import org.openehealth.ipf.commons.xml.SchematronValidator;
import org.openehealth.ipf.commons.xml.XsdValidator;
import org.w3c.dom.Document;
import org.w3c.dom.Node;

/**
 * Where IPF's SOAP endpoints are published: CXF's servlet. What arrives is held against schemas and Gazelle's rules as
 * it came over the wire, before CXF and JAXB make objects of it and forget what they do not know.
 */
final class Soap implements Filter {
    private static final String ENVELOPE = "http://www.w3.org/2003/05/soap-envelope";
    private static final String HL7 = "schema/HL7V3/NE2008/multicacheschemas/";
    /** Schema of a message, by the name of its root. */
    private static final Map<String, String> SCHEMAS = Map.of(
        "XACMLAuthzDecisionQuery", "schema/xacml-2.0-profile-saml2.0-v2-schema-protocol-wd-14.xsd",
        "PRPA_IN201305UV02", HL7 + "PRPA_IN201305UV02.xsd",
        "PRPA_IN201309UV02", HL7 + "PRPA_IN201309UV02.xsd",
        "QUQI_IN000003UV01", HL7 + "QUQI_IN000003UV01.xsd");
    private static final XsdValidator SCHEMA = new XsdValidator();
    private static final SchematronValidator RULES = new SchematronValidator();

    static ServletContextHandler context() {
        CXFNonSpringServlet servlet = new CXFNonSpringServlet();
        servlet.setBus(BusFactory.getDefaultBus());
        ServletHolder holder = new ServletHolder(servlet);
        holder.setInitOrder(1);
        ServletContextHandler context = new ServletContextHandler();
        context.setContextPath("/soap");
        context.addServlet(holder, "/*");
        context.addFilter(new FilterHolder(new Soap()), "/*", EnumSet.of(DispatcherType.REQUEST));
        return context;
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain) throws IOException, ServletException {
        byte[] body = request.getInputStream().readAllBytes();
        try {
            check(body);
        } catch (Exception violation) {
            System.err.println("soap: " + violation);
            ((HttpServletResponse) response).setStatus(400);
            response.setContentType("application/soap+xml; charset=UTF-8");
            response.getWriter().write("<s:Envelope xmlns:s=\"" + ENVELOPE + "\"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>"
                + "<s:Reason><s:Text xml:lang=\"en\">invalid</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>");
            return;
        }
        chain.doFilter(new Again((HttpServletRequest) request, body), response);
    }

    private static void check(byte[] body) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        Document envelope = factory.newDocumentBuilder().parse(new ByteArrayInputStream(body));
        Node message = envelope.getElementsByTagNameNS(ENVELOPE, "Body").item(0).getFirstChild();
        String root = message.getLocalName();
        String schema = SCHEMAS.get(root);
        if (schema == null) {
            throw new IllegalArgumentException("unknown message " + root);
        }
        Document alone = factory.newDocumentBuilder().newDocument();
        alone.appendChild(alone.importNode(message, true));
        SCHEMA.validate(new DOMSource(alone), schema);
        if (schema.startsWith(HL7)) {
            RULES.validate(new DOMSource(alone), new SchematronProfile("schematron/gazelle-pixpdqv3.sch.xml", Map.of("phase", root)));
        }
    }

    /** A request whose body was read. */
    private static final class Again extends HttpServletRequestWrapper {
        private final ByteArrayInputStream body;

        Again(HttpServletRequest request, byte[] body) {
            super(request);
            this.body = new ByteArrayInputStream(body);
        }

        @Override
        public ServletInputStream getInputStream() {
            return new ServletInputStream() {
                @Override
                public int read() {
                    return body.read();
                }

                @Override
                public boolean isFinished() {
                    return body.available() == 0;
                }

                @Override
                public boolean isReady() {
                    return true;
                }

                @Override
                public void setReadListener(ReadListener listener) {
                    throw new IllegalStateException("read at once");
                }
            };
        }
    }
}
