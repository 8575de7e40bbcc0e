package peer;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.server.FifoMemoryPagingProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.interceptor.RequestValidatingInterceptor;
import ca.uhn.fhir.rest.server.provider.HashMapResourceProvider;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import org.apache.camel.CamelContext;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.handler.ContextHandlerCollection;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r4.model.AuditEvent;

/**
 * What speaks HTTP: HAPI's FHIR server, which holds every resource that it is sent against R4, IPF's SOAP endpoints, and
 * the stand-in for an openEHR repository.
 */
final class Web {
    private static final List<String> UNKNOWN = List.of(
        "CodeSystem is unknown and can't be validated: urn:",
        "Profile reference 'https://profiles.ihe.net/ITI/",
        "Invalid profile. Failed to retrieve profile with url=https://profiles.ihe.net/ITI/");

    static int start(CamelContext camel) throws Exception {
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        ServletContextHandler context = new ServletContextHandler();
        context.setContextPath("/");
        context.addServlet(new ServletHolder(fhir()), "/fhir/*");
        context.addServlet(new ServletHolder(new Repository()), "/openehr/query/aql");
        context.addServlet(new ServletHolder(new Secured(camel)), "/mllp-tls");
        context.addServlet(new ServletHolder(new Audit()), "/atna");
        ContextHandlerCollection all = new ContextHandlerCollection(context);
        all.addHandler(Soap.context());
        server.setHandler(all);
        server.start();
        return ((org.eclipse.jetty.server.ServerConnector) server.getConnectors()[0]).getLocalPort();
    }

    /** Starts an index with the TLS of whoever asks, and answers with its port. */
    private static final class Secured extends HttpServlet {
        private final transient CamelContext camel;

        Secured(CamelContext camel) {
            this.camel = camel;
        }

        @Override
        protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
            try {
                int port = Index.secured(camel, Path.of(request.getParameter("authority")),
                    Path.of(request.getParameter("certificate")), Path.of(request.getParameter("key")));
                response.getWriter().print(port);
            } catch (Exception unusable) {
                throw new IOException(unusable);
            }
        }
    }

    private static RestfulServer fhir() {
        FhirContext context = FhirContext.forR4();
        RestfulServer server = new RestfulServer(context);
        server.setResourceProviders(List.of(
            new Resources.Patients(), new Resources.Consents(), new HashMapResourceProvider<>(context, AuditEvent.class)));
        server.registerProvider(new Resources.PolicyStates());
        // Small, so that a client must follow.
        FifoMemoryPagingProvider paging = new FifoMemoryPagingProvider(20);
        paging.setDefaultPageSize(2);
        paging.setMaximumPageSize(2);
        server.setPagingProvider(paging);
        FhirInstanceValidator validator = new FhirInstanceValidator(new ValidationSupportChain(
            context.getValidationSupport(),
            new CommonCodeSystemsTerminologyService(context),
            new InMemoryTerminologyServerValidationSupport(context)));
        // It reads its definitions at the first use, longer than a client waits.
        context.newValidator().registerValidatorModule(validator).validateWithResult(new AuditEvent());
        RequestValidatingInterceptor validating = new RequestValidatingInterceptor();
        validating.addValidatorModule(judged -> {
            validator.validateResource(judged);
            // Code systems and profiles of IHE, and code systems of ours, are in no package: they cannot be looked up.
            judged.getMessages().stream()
                .filter(message -> UNKNOWN.stream().anyMatch(message.getMessage()::startsWith))
                .forEach(message -> message.setSeverity(ResultSeverityEnum.WARNING));
        });
        validating.setFailOnSeverity(ResultSeverityEnum.ERROR);
        server.registerInterceptor(validating);
        return server;
    }
}
