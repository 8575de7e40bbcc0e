package peer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

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

    public static void main(String[] arguments) throws Exception {
        int pdq = Index.start();
        int web = Web.start();
        Path file = Path.of(arguments[0]);
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
