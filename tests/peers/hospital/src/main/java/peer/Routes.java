package peer;

import java.io.IOException;
import java.util.Collection;
import org.apache.camel.TypeConverter;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.camel.impl.converter.DefaultTypeConverter;

/**
 * Camel without IPF's converters between text and objects of HL7 v3: they need `net.ihe.gazelle:hl7v3-code-jar`, which is
 * not on Maven Central. The endpoints work on text.
 */
final class Routes extends DefaultCamelContext {
    @Override
    protected TypeConverter createTypeConverter() {
        return new DefaultTypeConverter(getCamelContextReference(), getPackageScanClassResolver(), getInjector(), isLoadTypeConverters()) {
            @Override
            protected Collection<String> findTypeConverterLoaderClasses() throws IOException {
                Collection<String> loaders = super.findTypeConverterLoaderClasses();
                loaders.removeIf(name -> name.startsWith("org.openehealth.ipf.platform.camel.ihe.hl7v3."));
                return loaders;
            }
        };
    }
}
