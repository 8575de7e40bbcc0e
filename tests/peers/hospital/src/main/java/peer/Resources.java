package peer;

import ca.uhn.fhir.rest.annotation.IdParam;
import ca.uhn.fhir.rest.annotation.Operation;
import ca.uhn.fhir.rest.annotation.OperationParam;
import ca.uhn.fhir.rest.annotation.OptionalParam;
import ca.uhn.fhir.rest.annotation.Read;
import ca.uhn.fhir.rest.annotation.Search;
import ca.uhn.fhir.rest.param.ReferenceParam;
import ca.uhn.fhir.rest.param.StringParam;
import ca.uhn.fhir.rest.param.TokenParam;
import ca.uhn.fhir.rest.server.IResourceProvider;
import ca.uhn.fhir.rest.server.exceptions.InvalidRequestException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import java.util.ArrayList;
import java.util.List;
import org.hl7.fhir.r4.model.*;

/** What the FHIR server holds. HAPI reads the requests and writes the answers; the choice among resources is made here. */
final class Resources {
    private static final String POLICIES = "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3";

    private static Patient patient(String id) {
        Patient patient = new Patient();
        patient.setId("p-" + id);
        patient.addIdentifier().setSystem(Main.SYSTEM).setValue(id);
        patient.addName().setUse(HumanName.NameUse.OFFICIAL).setFamily("Gr\u00fcnwald-\u00d6zdemir").addGiven("Liselotte");
        patient.setGender(Enumerations.AdministrativeGender.FEMALE);
        patient.setBirthDateElement(new DateType("1980-03-07"));
        patient.addAddress().setUse(Address.AddressUse.HOME).addLine("Lindenstra\u00dfe 12a").setCity("G\u00f6ttingen")
            .setPostalCode("37073").setCountry("DE");
        return patient;
    }

    /** Five persons; the index is asked about the first. */
    private static List<Patient> patients() {
        List<Patient> all = new ArrayList<>();
        for (String id : List.of(Main.PERSON, "r1", "r2", "r3", "r4")) {
            all.add(patient(id));
        }
        return all;
    }

    private static boolean carries(Patient patient, TokenParam token) {
        Identifier identifier = patient.getIdentifierFirstRep();
        return identifier.getSystem().equals(token.getSystem()) && identifier.getValue().equals(token.getValue());
    }

    /** Policies of a person: all that data sharing needs, only use, withdrawn use, or nothing. */
    private static List<Consent> consents(String id) {
        return switch (id) {
            case Main.PERSON -> List.of(consent(id, 1, "permit", "2023-01-15", "6", "7", "8", "9"));
            case "r1" -> List.of(consent(id, 1, "permit", "2023-01-15", "8"));
            case "r2" -> List.of(
                consent(id, 1, "permit", "2023-01-15", "8"), consent(id, 2, "permit", "2023-02-15", "6"),
                consent(id, 3, "deny", "2023-03-15", "8"));
            default -> List.of();
        };
    }

    private static Consent consent(String person, int number, String kind, String date, String... codes) {
        Consent consent = new Consent();
        consent.setId("c-" + person + "-" + number);
        consent.setStatus(Consent.ConsentState.ACTIVE);
        consent.setScope(new CodeableConcept(new Coding("http://terminology.hl7.org/CodeSystem/consentscope", "research", null)));
        consent.addCategory(new CodeableConcept(new Coding("http://loinc.org", "57016-8", null)));
        consent.setDateTimeElement(new DateTimeType(date));
        consent.setPatient(new Reference("Patient/p-" + person)
            .setIdentifier(new Identifier().setSystem(Main.SYSTEM).setValue(person)));
        Consent.ProvisionComponent root = consent.getProvision().setType(Consent.ConsentProvisionType.DENY);
        for (String code : codes) {
            Consent.ProvisionComponent one = root.addProvision().setType(Consent.ConsentProvisionType.fromCode(kind));
            one.setPeriod(new Period().setStartElement(new DateTimeType("2020-01-01")).setEndElement(new DateTimeType("2199-01-01")));
            one.addCode().addCoding().setSystem(POLICIES).setCode(POLICIES.substring("urn:oid:".length()) + "." + code);
        }
        return consent;
    }

    public static final class Patients implements IResourceProvider {
        public Class<Patient> getResourceType() {
            return Patient.class;
        }

        @Read
        public Patient read(@IdParam IdType id) {
            return patients().stream().filter(p -> p.getIdElement().getIdPart().equals(id.getIdPart())).findFirst()
                .orElseThrow(() -> new ResourceNotFoundException(id));
        }

        @Search
        public List<Patient> search(
            @OptionalParam(name = "identifier") TokenParam identifier,
            @OptionalParam(name = "family") StringParam family,
            @OptionalParam(name = "gender") TokenParam gender) {
            return patients().stream()
                .filter(p -> identifier == null || carries(p, identifier))
                .filter(p -> family == null || p.getNameFirstRep().getFamily().startsWith(family.getValue()))
                .filter(p -> gender == null || p.getGender().toCode().equals(gender.getValue()))
                .toList();
        }

        /** ITI-119. */
        @Operation(name = "$match", typeName = "Patient")
        public Bundle match(
            @OperationParam(name = "resource", min = 1, max = 1) Patient wanted,
            @OperationParam(name = "onlyCertainMatches", max = 1) BooleanType certain,
            @OperationParam(name = "count", max = 1) IntegerType count) {
            Bundle bundle = new Bundle().setType(Bundle.BundleType.SEARCHSET);
            Patient known = patient(Main.PERSON);
            if (known.getNameFirstRep().getFamily().equals(wanted.getNameFirstRep().getFamily())) {
                Bundle.BundleEntryComponent entry = bundle.addEntry().setResource(known);
                entry.setFullUrl("urn:uuid:5c9a0d2e-0b0f-4d65-8a0e-4f6f2a4b8a11");
                entry.getSearch().setMode(Bundle.SearchEntryMode.MATCH).setScore(0.98)
                    .addExtension("http://hl7.org/fhir/StructureDefinition/match-grade", new CodeType("certain"));
            }
            return bundle.setTotal(bundle.getEntry().size());
        }

        /** ITI-83. */
        @Operation(name = "$ihe-pix", idempotent = true, typeName = "Patient")
        public Parameters references(
            @OperationParam(name = "sourceIdentifier", min = 1, max = 1) TokenParam source,
            @OperationParam(name = "targetSystem") List<UriType> targets) {
            if (!carries(patient(Main.PERSON), source)) {
                OperationOutcome outcome = new OperationOutcome();
                outcome.addIssue().setSeverity(OperationOutcome.IssueSeverity.ERROR)
                    .setCode(OperationOutcome.IssueType.NOTFOUND).setDiagnostics("sourceIdentifier Patient Identifier not found");
                throw new ResourceNotFoundException("not found", outcome);
            }
            Parameters parameters = new Parameters();
            parameters.addParameter().setName("targetIdentifier")
                .setValue(new Identifier().setSystem("urn:oid:2.999.1.30").setValue("0815"));
            return parameters;
        }
    }

    public static final class Consents implements IResourceProvider {
        public Class<Consent> getResourceType() {
            return Consent.class;
        }

        @Search
        public List<Consent> search(
            @OptionalParam(name = "patient", chainWhitelist = "identifier") ReferenceParam patient,
            @OptionalParam(name = "status") TokenParam status) {
            if (patient == null || !"identifier".equals(patient.getChain())) {
                throw new InvalidRequestException("consents are searched by patient.identifier");
            }
            TokenParam token = patient.toTokenParam(null);
            return Main.SYSTEM.equals(token.getSystem()) ? consents(token.getValue()) : List.of();
        }
    }

    /** gICS behind the TTP-FHIR gateway. */
    public static final class PolicyStates {
        @Operation(name = "$currentPolicyStatesForPerson")
        public Bundle states(
            @OperationParam(name = "personIdentifier", min = 1) List<Identifier> persons,
            @OperationParam(name = "domain", min = 1, max = 1) StringType domain,
            @OperationParam(name = "config", max = 1) Parameters config) {
            Bundle bundle = new Bundle().setType(Bundle.BundleType.COLLECTION);
            known(persons, config).forEach(consent -> bundle.addEntry().setResource(consent));
            return bundle;
        }

        @Operation(name = "$isConsented")
        public Parameters consented(
            @OperationParam(name = "personIdentifier", min = 1) List<Identifier> persons,
            @OperationParam(name = "domain", min = 1, max = 1) StringType domain,
            @OperationParam(name = "policy", min = 1, max = 1) Coding policy,
            @OperationParam(name = "version", min = 1, max = 1) StringType version,
            @OperationParam(name = "config", max = 1) Parameters config) {
            boolean permitted = false;
            for (Consent consent : known(persons, config)) {
                for (Consent.ProvisionComponent one : consent.getProvision().getProvision()) {
                    Coding code = one.getCodeFirstRep().getCodingFirstRep();
                    if (code.getSystem().equals(policy.getSystem()) && code.getCode().equals(policy.getCode())) {
                        permitted = one.getType() == Consent.ConsentProvisionType.PERMIT;
                    }
                }
            }
            Parameters parameters = new Parameters();
            parameters.addParameter("consented", permitted);
            return parameters;
        }

        private static List<Consent> known(List<Identifier> persons, Parameters config) {
            if (persons.size() != 1 || !Main.SYSTEM.equals(persons.get(0).getSystem())) {
                throw new InvalidRequestException("exactly one person of the known system");
            }
            BooleanType declines = (BooleanType) config.getParameter("unknownStateIsConsideredAsDecline").getValue();
            if (!declines.booleanValue()) {
                throw new InvalidRequestException("an unknown state must be a refusal");
            }
            List<Consent> found = consents(persons.get(0).getValue());
            if (found.isEmpty()) {
                throw new ResourceNotFoundException("unknown person");
            }
            return found;
        }
    }
}
