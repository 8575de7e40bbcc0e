package peer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * Systems of a hospital that others wrote, in one program: their ports go to the file that is named first.
 * Ends with its input, so that it never outlives who started it.
 */
public final class Main {
    /** The namespace and OID of local ids, and their FHIR system. */
    static final String NAMESPACE = "E";
    static final String OID = "2.999.1.10";
    static final String SYSTEM = "urn:oid:" + OID;
    /** The one person that the index knows. */
    static final String PERSON = "4711";
    /** A surname that three persons share, and their ids. */
    static final String MANY = "Drilling";
    static final List<String> MANY_IDS = List.of("9001", "9002", "9003");

    public static void main(String[] arguments) throws Exception {
        Path file = Path.of(arguments[0]);
        // Where HAPI counts its messages; it would be the folder that we were started in.
        System.setProperty("hapi.home", file.toAbsolutePath().getParent().toString());
        Routes camel = new Routes();
        int web = Web.start(camel);
        int pdq = Index.start(camel);
        camel.addRoutes(new Version3());
        camel.addRoutes(new Decisions());
        camel.start();
        Path whole = file.resolveSibling(file.getFileName() + ".new");
        Files.writeString(whole, "{\"mllp\": " + pdq + ", \"http\": " + web + "}");
        Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() >= 0) {
            // Nothing is read from it.
        }
        System.exit(0);
    }

    static int freePort() throws Exception {
        try (java.net.ServerSocket socket = new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }
}
