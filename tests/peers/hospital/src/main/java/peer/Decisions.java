package peer;

import java.io.InputStream;
import java.util.UUID;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.herasaf.xacml.core.api.PDP;
import org.herasaf.xacml.core.api.UnorderedPolicyRepository;
import org.herasaf.xacml.core.context.impl.AttributeType;
import org.herasaf.xacml.core.context.impl.RequestType;
import org.herasaf.xacml.core.context.impl.ResourceType;
import org.herasaf.xacml.core.context.impl.ResultType;
import org.herasaf.xacml.core.policy.PolicyMarshaller;
import org.herasaf.xacml.core.simplePDP.SimplePDPFactory;
import org.openehealth.ipf.commons.ihe.xacml20.Xacml20MessageCreator;
import org.openehealth.ipf.commons.ihe.xacml20.Xacml20Status;
import org.openehealth.ipf.commons.ihe.xacml20.Xacml20Utils;
import org.openehealth.ipf.commons.ihe.xacml20.stub.saml20.assertion.AssertionType;
import org.openehealth.ipf.commons.ihe.xacml20.stub.saml20.protocol.ResponseType;
import org.openehealth.ipf.commons.ihe.xacml20.stub.saml20.protocol.StatusCodeType;
import org.openehealth.ipf.commons.ihe.xacml20.stub.saml20.protocol.StatusType;
import org.openehealth.ipf.commons.ihe.xacml20.stub.xacml20.saml.assertion.XACMLAuthzDecisionStatementType;
import org.openehealth.ipf.commons.ihe.xacml20.stub.xacml20.saml.protocol.XACMLAuthzDecisionQueryType;
import org.openehealth.ipf.platform.camel.ihe.xacml20.Xacml20CamelValidators;

/**
 * A decision point over SOAP: the ITI-79 endpoint of IPF reads queries and writes answers, HERASAF decides by the policy
 * of this folder. Ours is what lies between: HERASAF decides about one resource at a time, so a query about several is
 * asked once for each, as the profile of XACML for multiple resources has it.
 */
final class Decisions extends RouteBuilder {
    private static final String RESOURCE_ID = "urn:oasis:names:tc:xacml:1.0:resource:resource-id";
    private final PDP decisions;

    Decisions() throws Exception {
        Xacml20Utils.initializeHerasaf();
        decisions = SimplePDPFactory.getSimplePDP();
        try (InputStream policy = Decisions.class.getResourceAsStream("/policy.xml")) {
            ((UnorderedPolicyRepository) decisions.getPolicyRepository()).deploy(PolicyMarshaller.unmarshal(policy));
        }
    }

    @Override
    public void configure() {
        from("ser-iti79:iti79?audit=false")
            .process(Xacml20CamelValidators.iti79RequestValidator())
            .process(this::decide)
            .process(Xacml20CamelValidators.iti79ResponseValidator());
    }

    private void decide(Exchange exchange) throws Exception {
        XACMLAuthzDecisionQueryType query = exchange.getIn().getBody(XACMLAuthzDecisionQueryType.class);
        RequestType asked = Xacml20Utils.extractAuthzRequest(query);
        org.herasaf.xacml.core.context.impl.ResponseType all = new org.herasaf.xacml.core.context.impl.ResponseType();
        for (ResourceType resource : asked.getResources()) {
            RequestType one = new RequestType();
            one.getSubjects().addAll(asked.getSubjects());
            one.getResources().add(resource);
            one.setAction(asked.getAction());
            one.setEnvironment(asked.getEnvironment());
            for (ResultType result : decisions.evaluate(one).getResults()) {
                result.setResourceId(id(resource));
                all.getResults().add(result);
            }
        }
        XACMLAuthzDecisionStatementType statement = new XACMLAuthzDecisionStatementType();
        statement.setResponse(all);
        AssertionType assertion = new Xacml20MessageCreator("urn:oid:2.999.1.4").createAssertion();
        assertion.getStatementOrAuthnStatementOrAuthzDecisionStatement().add(statement);
        StatusCodeType code = new StatusCodeType();
        code.setValue(Xacml20Status.SUCCESS.getCode());
        StatusType status = new StatusType();
        status.setStatusCode(code);
        ResponseType response = new ResponseType();
        response.setID("_" + UUID.randomUUID());
        response.setVersion("2.0");
        response.setIssueInstant(assertion.getIssueInstant());
        response.setStatus(status);
        response.getAssertionOrEncryptedAssertion().add(assertion);
        response.setInResponseTo(query.getID());
        exchange.getMessage().setBody(response);
    }

    private static String id(ResourceType resource) {
        for (AttributeType attribute : resource.getAttributes()) {
            if (attribute.getAttributeId().equals(RESOURCE_ID)) {
                return Xacml20Utils.extractStringAttributeValue(attribute);
            }
        }
        throw new IllegalArgumentException("a resource without id");
    }
}
