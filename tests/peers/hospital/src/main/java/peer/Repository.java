package peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.ehrbase.openehr.sdk.aql.dto.AqlQuery;
import org.ehrbase.openehr.sdk.aql.parser.AqlQueryParser;
import org.ehrbase.openehr.sdk.aql.render.AqlRenderer;
import org.ehrbase.openehr.sdk.response.dto.QueryResponseData;

/**
 * A stand-in for an openEHR repository, made of published parts of EHRbase: its parser decides what is AQL, its types
 * form the answer. They are of a later version than the EHRbase of `tests/peers/ehrbase`.
 */
final class Repository extends HttpServlet {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** Ids of records; one has none. */
    private static final List<String> RECORDS = new ArrayList<>(List.of("r0", "r1", "", "r3", "r4"));

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        response.setContentType("application/json");
        try {
            JSON.writeValue(response.getOutputStream(), answer(JSON.readTree(request.getInputStream())));
        } catch (RuntimeException refused) {
            System.err.println("openehr: " + refused);
            response.setStatus(400);
            JSON.writeValue(response.getOutputStream(), Map.of("error", "Bad Request", "message", "invalid"));
        }
    }

    private static QueryResponseData answer(JsonNode request) {
        Set<String> members = new TreeSet<>(Set.of("q", "offset", "fetch", "query_parameters"));
        for (Iterator<String> names = request.fieldNames(); names.hasNext();) {
            String name = names.next();
            if (!members.contains(name)) {
                throw new IllegalArgumentException("member " + name + " is not in the API");
            }
        }
        AqlQuery query = AqlQueryParser.parse(request.get("q").asText());
        String text = AqlRenderer.render(query);
        Set<String> kept = new TreeSet<>();
        JsonNode parameters = request.path("query_parameters");
        for (Iterator<String> names = parameters.fieldNames(); names.hasNext();) {
            String name = names.next();
            if (!text.contains("$" + name)) {
                throw new IllegalArgumentException("parameter " + name + " is not in the query");
            }
            kept.add(parameters.get(name).asText());
        }
        QueryResponseData data = new QueryResponseData();
        data.setQuery(request.get("q").asText());
        List<List<Object>> rows = new ArrayList<>();
        Map<String, String> column = new LinkedHashMap<>();
        if (text.contains("COUNT(")) {
            column.put("name", "#0");
            rows.add(List.of(RECORDS.stream().filter(id -> kept.isEmpty() || kept.contains(id)).count()));
        } else {
            column.put("name", "EHRID");
            column.put("path", "/ehr_status/subject/external_ref/id/value");
            int offset = request.path("offset").asInt(0);
            int fetch = request.path("fetch").asInt(RECORDS.size());
            RECORDS.stream().skip(offset).limit(fetch).forEach(id -> {
                List<Object> row = new ArrayList<>();
                row.add(id.isEmpty() ? null : id);
                rows.add(row);
            });
        }
        data.setColumns(List.of(column));
        data.setRows(rows);
        return data;
    }
}
