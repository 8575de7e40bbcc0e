package peer;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

import org.hl7.fhir.r4.model.Binary;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Bundle.BundleType;
import org.hl7.fhir.r4.model.Bundle.HTTPVerb;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.CodeSystem;
import org.hl7.fhir.r4.model.CodeSystem.CodeSystemContentMode;
import org.hl7.fhir.r4.model.DomainResource;
import org.hl7.fhir.r4.model.Enumerations.PublicationStatus;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Organization;
import org.hl7.fhir.r4.model.Reference;
import org.hl7.fhir.r4.model.Resource;
import org.hl7.fhir.r4.model.StringType;
import org.hl7.fhir.r4.model.Subscription;
import org.hl7.fhir.r4.model.Task;
import org.hl7.fhir.r4.model.Task.TaskIntent;
import org.hl7.fhir.r4.model.Task.TaskStatus;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import ca.uhn.fhir.context.FhirContext;
import dev.dsf.fhir.client.FhirWebserviceClient;
import dev.dsf.fhir.client.FhirWebserviceClientJersey;
import dev.dsf.fhir.client.WebsocketClientTyrus;
import dev.dsf.fhir.service.ReferenceCleaner;
import jakarta.ws.rs.WebApplicationException;
import jakarta.ws.rs.core.MediaType;

/** Walks the public clients through an endpoint of a stand: {@code java peer.Main <stand.json>}. */
public final class Main
{
	private static final char[] PASSWORD = "peer".toCharArray();
	private static final int TIMEOUT_MILLIS = 60_000;
	private static final FhirContext FHIR = FhirContext.forR4();

	private static int passed;

	public static void main(String[] arguments) throws Exception
	{
		JsonNode stand = new ObjectMapper().readTree(Path.of(arguments[0]).toFile());
		JsonNode site = stand.get("sites").get(0);
		KeyStore trust = trust(Path.of(stand.get("ca").asText()));
		KeyStore own = identity(site);
		String base = site.get("base_url").asText();
		FhirWebserviceClient client = client(base, trust, own);

		capabilities(client);
		writes(client);
		bundles(client);
		stranger(base, trust, stand.get("unknown"));
		subscription(client, trust, own, site);
		binaries(client);
		System.out.println(passed + " passed, 0 failed");
		System.exit(0);
	}

	private static void capabilities(FhirWebserviceClient client)
	{
		CapabilityStatement statement = client.getConformance();
		check("metadata", statement.getFhirVersion() != null, true);
	}

	private static void writes(FhirWebserviceClient client)
	{
		String url = "http://test.example/" + UUID.randomUUID();
		CodeSystem created = client.create(codeSystem(url));
		String id = created.getIdElement().getIdPart();
		check("create: version", created.getIdElement().getVersionIdPart(), "1");
		check("read", client.read(CodeSystem.class, id).getUrl(), url);
		check("read of a version", client.read(CodeSystem.class, id, "1").getUrl(), url);
		check("exists", client.exists(CodeSystem.class, id), true);
		check("does not exist", client.exists(CodeSystem.class, UUID.randomUUID().toString()), false);

		created.setTitle("changed");
		CodeSystem updated = client.update(created);
		check("update: version", updated.getIdElement().getVersionIdPart(), "2");
		check("read with a cached copy", client.read(updated).getTitle(), "changed");
		updated.setTitle("changed again");
		CodeSystem conditionally = client.updateConditionaly(updated, Map.of("url", List.of(url)));
		check("conditional update: version", conditionally.getIdElement().getVersionIdPart(), "3");

		Bundle found = client.searchWithStrictHandling(CodeSystem.class, Map.of("url", List.of(url)));
		check("search: total", found.getTotal(), 1);
		check("search: id", found.getEntryFirstRep().getResource().getIdElement().getIdPart(), id);
		check("search in strict handling", status(() -> client.searchWithStrictHandling(CodeSystem.class,
				Map.of("no-such-parameter", List.of("1")))), 400);
		check("history: total", client.history(CodeSystem.class, id, 1, 20).getTotal(), 3);

		IdType minimal = client.withMinimalReturn().create(codeSystem(url + "/minimal"));
		check("create with minimal return: version", minimal.getVersionIdPart(), "1");
		check("a duplicate is refused", status(() -> client.create(codeSystem(url))), 403);

		client.delete(CodeSystem.class, id);
		check("read of what was deleted", status(() -> client.read(CodeSystem.class, id)), 410);
		client.deletePermanently(CodeSystem.class, id);
		check("read of what was deleted permanently", status(() -> client.read(CodeSystem.class, id)), 404);
	}

	private static void bundles(FhirWebserviceClient client)
	{
		String url = "http://test.example/" + UUID.randomUUID();
		for (BundleType type : List.of(BundleType.TRANSACTION, BundleType.BATCH))
		{
			Bundle bundle = new Bundle().setType(type);
			CodeSystem resource = codeSystem(url);
			bundle.addEntry().setFullUrl("urn:uuid:" + UUID.randomUUID()).setResource(resource).getRequest()
					.setMethod(HTTPVerb.POST).setUrl("CodeSystem").setIfNoneExist("url=" + url + "&version=1");
			Bundle answer = client.withMinimalReturn().postBundle(bundle);
			// The batch finds what the transaction has written.
			String expected = type == BundleType.TRANSACTION ? "201 Created" : "200 OK";
			check(type + ": status", answer.getEntryFirstRep().getResponse().getStatus(), expected);
		}
	}

	private static void binaries(FhirWebserviceClient client) throws Exception
	{
		Organization local = (Organization) client
				.search(Organization.class, Map.of("active", List.of("true"))).getEntryFirstRep().getResource();
		byte[] data = new byte[100_000];
		new java.util.Random(1).nextBytes(data);
		Binary created = client.createBinary(new ByteArrayInputStream(data), MediaType.APPLICATION_OCTET_STREAM_TYPE,
				"Organization/" + local.getIdElement().getIdPart());
		try (InputStream read = client.readBinary(created.getIdElement().getIdPart(),
				MediaType.APPLICATION_OCTET_STREAM_TYPE))
		{
			check("binary: same bytes", java.util.Arrays.equals(read.readAllBytes(), data), true);
		}
	}

	private static void stranger(String base, KeyStore trust, JsonNode unknown) throws Exception
	{
		FhirWebserviceClient client = client(base, trust, identity(unknown));
		check("an unknown certificate is refused", status(client::getConformance), 403);
	}

	private static void subscription(FhirWebserviceClient client, KeyStore trust, KeyStore own, JsonNode site)
			throws Exception
	{
		Bundle found = client.searchWithStrictHandling(Subscription.class,
				Map.of("criteria:exact", List.of("Task?status=requested"), "status", List.of("active"), "type",
						List.of("websocket"), "payload", List.of("application/fhir+json")));
		check("subscriptions", found.getTotal(), 1);
		String subscription = found.getEntryFirstRep().getResource().getIdElement().getIdPart();

		BlockingQueue<DomainResource> events = new LinkedBlockingQueue<>();
		WebsocketClientTyrus socket = new WebsocketClientTyrus(() ->
		{
		}, URI.create(site.get("ws_url").asText()), trust, own, PASSWORD, null, null, null, subscription);
		socket.setDomainResourceHandler(events::add, FHIR::newJsonParser);
		socket.connect();
		// The client does not say when it is bound: Tasks are created until one is heard of.
		String organization = site.get("organization").asText();
		boolean heard = false;
		for (int attempt = 0; attempt < 30 && !heard; attempt++)
		{
			String id = client.create(startPing(organization)).getIdElement().getIdPart();
			DomainResource event;
			while (!heard && (event = events.poll(2, TimeUnit.SECONDS)) != null)
				heard = event.getIdElement().getIdPart().equals(id);
		}
		check("subscription: the created Task is heard of", heard, true);
		socket.disconnect();
	}

	private static CodeSystem codeSystem(String url)
	{
		CodeSystem resource = new CodeSystem();
		resource.getMeta().addTag().setSystem("http://dsf.dev/fhir/CodeSystem/read-access-tag").setCode("ALL");
		resource.setUrl(url).setVersion("1").setName("Test").setStatus(PublicationStatus.ACTIVE).setDate(new Date())
				.setContent(CodeSystemContentMode.COMPLETE);
		resource.setCaseSensitive(true).addConcept().setCode("a").setDisplay("A");
		return resource;
	}

	private static Task startPing(String organization)
	{
		Task task = new Task();
		task.getMeta().addProfile("http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0");
		task.setInstantiatesCanonical("http://dsf.dev/bpe/Process/ping|1.0");
		task.setStatus(TaskStatus.REQUESTED).setIntent(TaskIntent.ORDER).setAuthoredOn(new Date());
		task.setRequester(reference(organization));
		task.getRestriction().addRecipient(reference(organization));
		Task.ParameterComponent input = task.addInput();
		input.setValue(new StringType("startPing")).getType().addCoding()
				.setSystem("http://dsf.dev/fhir/CodeSystem/bpmn-message").setCode("message-name");
		return task;
	}

	private static Reference reference(String organization)
	{
		Reference reference = new Reference().setType("Organization");
		reference.getIdentifier().setSystem("http://dsf.dev/sid/organization-identifier").setValue(organization);
		return reference;
	}

	private static FhirWebserviceClient client(String base, KeyStore trust, KeyStore own)
	{
		return new FhirWebserviceClientJersey(base, trust, own, PASSWORD, null, null, null, null, TIMEOUT_MILLIS,
				TIMEOUT_MILLIS, false, "peer", FHIR, new ReferenceCleaner()
				{
					@Override
					public <R extends Resource> R cleanReferenceResourcesIfBundle(R resource)
					{
						return resource;
					}

					@Override
					public <R extends Resource> R cleanLiteralReferences(R resource)
					{
						return resource;
					}
				});
	}

	private static KeyStore trust(Path ca) throws Exception
	{
		KeyStore store = empty();
		int number = 0;
		for (Certificate certificate : certificates(ca))
			store.setCertificateEntry("ca-" + number++, certificate);
		return store;
	}

	private static KeyStore identity(JsonNode description) throws Exception
	{
		String pem = Files.readString(Path.of(description.get("key").asText()));
		byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
		PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
		KeyStore store = empty();
		store.setKeyEntry("own", key, PASSWORD,
				certificates(Path.of(description.get("cert").asText())).toArray(new Certificate[0]));
		return store;
	}

	private static KeyStore empty() throws Exception
	{
		KeyStore store = KeyStore.getInstance("PKCS12");
		store.load(null, PASSWORD);
		return store;
	}

	private static Collection<? extends Certificate> certificates(Path file) throws Exception
	{
		try (InputStream in = Files.newInputStream(file))
		{
			return CertificateFactory.getInstance("X.509").generateCertificates(in);
		}
	}

	private static int status(Runnable call)
	{
		try
		{
			call.run();
			return 200;
		}
		catch (WebApplicationException refused)
		{
			return refused.getResponse().getStatus();
		}
	}

	private static void check(String what, Object seen, Object expected)
	{
		if (!expected.equals(seen))
		{
			System.out.println("FAILED  " + what + ": expected " + expected + ", got " + seen);
			System.out.println(passed + " passed, 1 failed");
			System.exit(1);
		}
		passed++;
		System.out.println("ok      " + what);
	}
}
