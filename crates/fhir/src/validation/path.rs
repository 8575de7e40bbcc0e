//! Where in a resource something is; written only when a message needs it.

/// A step from a resource to an element. Lives on the stack of the walk.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    pub(super) up: Option<&'p Path<'p>>,
    pub(super) name: &'p str,
    pub(super) suffix: Suffix<'p>,
}

/// What follows the name.
#[derive(Clone, Copy)]
pub(super) enum Suffix<'p> {
    None,
    /// Position in a list.
    Index(usize),
    /// The type of a choice element.
    Type(&'static str),
    /// A resource inside of another one: position, type, id.
    Resource(Option<usize>, &'p str, Option<&'p str>),
}

impl<'p> Path<'p> {
    /// The path of a resource itself.
    pub(super) fn root(name: &'p str) -> Path<'p> {
        Path { up: None, name, suffix: Suffix::None }
    }

    /// The path of a child.
    pub(super) fn child<'c>(&'c self, name: &'c str, suffix: Suffix<'c>) -> Path<'c>
    where
        'p: 'c,
    {
        Path { up: Some(self), name, suffix }
    }

    /// As text, for example `Task.input[0].value.ofType(string)`.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        if let Some(up) = self.up {
            up.write(text);
            text.push('.');
        }
        text.push_str(self.name);
        match self.suffix {
            Suffix::None => {}
            Suffix::Index(index) => text.push_str(&format!("[{index}]")),
            Suffix::Type(code) => text.push_str(&format!(".ofType({code})")),
            Suffix::Resource(index, code, id) => {
                if let Some(index) = index {
                    text.push_str(&format!("[{index}]"));
                }
                text.push_str(&format!("/*{code}/{}*/", id.unwrap_or("null")));
            }
        }
    }

    /// The path in the definition of the innermost resource: no positions, `[x]` for choices.
    pub(super) fn definition(&self) -> String {
        match (self.suffix, self.up) {
            (Suffix::Resource(_, code, _), _) => code.to_owned(),
            (_, None) => self.name.to_owned(),
            (suffix, Some(up)) => {
                let choice = if matches!(suffix, Suffix::Type(_)) { "[x]" } else { "" };
                format!("{}.{}{choice}", up.definition(), self.name)
            }
        }
    }
}
