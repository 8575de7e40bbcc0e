//! Who may publish and subscribe what: one table, from which server configurations are generated.
