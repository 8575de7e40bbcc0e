package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.core.env.Environment;

/**
 * EHRbase, started from its published modules: the one with its main class is not on Maven Central. Takes the file
 * that says where it is, and the description of a stand, whose PostgreSQL it uses. Ends with its input, so that it
 * never outlives who started it.
 */
@EnableAutoConfiguration
public class Main {
    /** By name: its classes are for a newer Java than the compiler of all peers reads. */
    private static final String SERVER = "org.ehrbase.configuration.EhrBaseServerConfiguration";
    private static final String DATABASE = "ehrbase";
    /** What EHRbase finds in its database before it starts. */
    private static final List<String> DATABASE_SETUP = List.of(
            "CREATE SCHEMA ehr",
            "CREATE SCHEMA ext",
            "CREATE EXTENSION \"uuid-ossp\" SCHEMA ext",
            "ALTER DATABASE " + DATABASE + " SET search_path TO ext",
            "ALTER DATABASE " + DATABASE + " SET intervalstyle TO iso_8601");

    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        URI other = URI.create(json.readTree(Path.of(arguments[1]).toFile()).at("/sites/0/database/fhir").asText());
        String[] login = other.getUserInfo().split(":", 2);
        String at = "://" + other.getHost() + ":" + other.getPort();
        execute(at + other.getPath(), login, List.of("CREATE DATABASE " + DATABASE));
        String database = at + "/" + DATABASE;
        execute(database, login, DATABASE_SETUP);

        SpringApplication application = new SpringApplication(Main.class, Class.forName(SERVER));
        Environment is = application.run(
                "--spring.profiles.active=peer",
                "--spring.datasource.url=jdbc:postgresql" + database,
                "--spring.datasource.username=" + login[0],
                "--spring.datasource.password=" + login[1],
                "--security.authPassword=" + UUID.randomUUID()).getEnvironment();

        Map<String, String> told = new LinkedHashMap<>();
        told.put("address", "http://127.0.0.1:" + is.getProperty("local.server.port") + "/ehrbase/rest/openehr/v1");
        told.put("user", is.getProperty("security.authUser"));
        told.put("password", is.getProperty("security.authPassword"));
        told.put("database", "postgres" + database.replace("://", "://" + other.getUserInfo() + "@"));
        Path file = Path.of(arguments[0]);
        Path whole = file.resolveSibling(file.getFileName() + ".new");
        Files.createFile(whole, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        Files.write(whole, json.writeValueAsBytes(told));
        Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE);
        while (System.in.read() >= 0) {
            // Nothing is read from it.
        }
        System.exit(0);
    }

    private static void execute(String database, String[] login, List<String> statements) throws SQLException {
        try (Connection connection = DriverManager.getConnection("jdbc:postgresql" + database, login[0], login[1])) {
            for (String statement : statements) {
                connection.createStatement().execute(statement);
            }
        }
    }
}
