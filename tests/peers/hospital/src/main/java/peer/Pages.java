package peer;

import ca.uhn.hl7v2.model.Message;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.openehealth.ipf.commons.ihe.hl7v2.storage.InteractiveContinuationStorage;
import org.openehealth.ipf.commons.ihe.hl7v3.storage.Hl7v3ContinuationStorage;

/** Where IPF keeps the pages of answers that were not asked for yet. */
final class Pages {
    /** Those of HL7 v2, for every query: pages by pointer, the first one by none. */
    static final class Version2 implements InteractiveContinuationStorage {
        private final Map<String, Map<String, Message>> queries = new HashMap<>();

        public synchronized void put(String pointer, String query, Message page) {
            queries.computeIfAbsent(query, any -> new HashMap<>()).put(pointer, page);
        }

        public synchronized Message get(String pointer, String query) {
            return queries.getOrDefault(query, new HashMap<>()).get(pointer);
        }

        public synchronized boolean delete(String query) {
            return queries.remove(query) != null;
        }
    }

    /** Those of HL7 v3: the whole answer, for every query. */
    static final class Version3 implements Hl7v3ContinuationStorage {
        private final Map<String, String> answers = new ConcurrentHashMap<>();
        private final Map<String, Integer> last = new ConcurrentHashMap<>();
        private final Map<String, Integer> quantities = new ConcurrentHashMap<>();

        public void storeMessage(String query, String answer) {
            answers.put(query, answer);
        }

        public String getMessage(String query) {
            return answers.get(query);
        }

        public void storeLastResultNumber(String query, int number) {
            last.put(query, number);
        }

        public int getLastResultNumber(String query) {
            return last.getOrDefault(query, -1);
        }

        public void storeContinuationQuantity(String query, int quantity) {
            quantities.put(query, quantity);
        }

        public int getContinuationQuantity(String query) {
            return quantities.getOrDefault(query, -1);
        }

        public boolean remove(String query) {
            last.remove(query);
            quantities.remove(query);
            return answers.remove(query) != null;
        }
    }
}
