//! What the processes do with result sets (record-linkage.md 5, column layouts; 7.1).

use super::{CREATED, Cell, CellError, Column, ResultSet};
use crate::bits::{Bits, BitsError};
use crate::cipher::encrypt;
use crate::filters::{FilterSet, FilterSetError, Header};
use crate::matching::{Group, Record};
use crate::pseudonym::{MedicId, StudyKeyError, StudyKeys};
use crate::secret::Key256;

/// Default path of the column `EHRID`.
pub const EHR_ID_PATH: &str = "/ehr_status/subject/external_ref/id/value";
/// Name of the column with the id by which the MPI knows a person.
const EHR_ID: &str = "EHRID";
/// Name and path of the column of record filters.
pub const FILTER_COLUMN: (&str, &str) = ("RBF", "/rbf/value");
/// Name and path of the column of encrypted ids.
pub const MEDIC_ID_COLUMN: (&str, &str) = ("MEDICID", "/medic_id/value");
/// Name and path of the column of pseudonyms.
pub const PSEUDONYM_COLUMN: (&str, &str) = ("PSN", "/psn/value");

/// Keys and contexts of a data site.
#[derive(Debug, Clone, Copy)]
pub struct Encryption<'a> {
    /// The request's key for medical data.
    pub data_key: &'a Key256,
    /// Identifier value of the research study.
    pub study: &'a str,
    /// The site's own key for ids.
    pub organization_key: &'a Key256,
    /// Identifier value of the site's organization.
    pub organization: &'a str,
}

/// The result set of one data site at the third party.
#[derive(Debug, Clone)]
pub struct SiteResult {
    /// Identifier value of the site's organization.
    pub organization: String,
    /// What it sent.
    pub result: ResultSet,
}

/// A step that a result set does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A column is missing.
    #[error("the result set has no column `{0}` with path `{1}`")]
    Column(String, String),
    /// A cell that must be text is none.
    #[error("column `{0}`, row {1} (counted from 1): a text is needed")]
    NotText(&'static str, usize),
    /// Another number of filters than rows.
    #[error("{filters} filters for {rows} rows")]
    Filters {
        /// Filters given.
        filters: usize,
        /// Rows of the result set.
        rows: usize,
    },
    /// Sites sent other columns.
    #[error("the result set of site {0} (counted from 1) has other columns than that of site 1")]
    Layout(usize),
    /// A group names a record that is not there.
    #[error("a group names a record that is not there")]
    Group,
    /// A cell does not open.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A filter cannot be read.
    #[error(transparent)]
    Filter(#[from] BitsError),
    /// A filter does not fit.
    #[error(transparent)]
    Set(#[from] FilterSetError),
    /// No key.
    #[error(transparent)]
    Key(#[from] StudyKeyError),
}

fn column((name, path): (&str, &str)) -> Column {
    Column { name: name.to_owned(), path: path.to_owned() }
}

impl ResultSet {
    fn needed(&self, name: &str, path: &str) -> Result<usize, StepError> {
        self.column(name, path).ok_or_else(|| StepError::Column(name.to_owned(), path.to_owned()))
    }

    fn texts(&self, name: &'static str, path: &str) -> Result<Vec<&str>, StepError> {
        let place = self.needed(name, path)?;
        let rows = self.rows.iter().enumerate();
        rows.map(|(row, cells)| {
            cells.get(place).and_then(Cell::text).ok_or(StepError::NotText(name, row + 1))
        })
        .collect()
    }

    /// The ids by which the MPI knows the persons, in the order of rows.
    ///
    /// # Errors
    /// When there is no such column, or it holds more than texts.
    pub fn ehr_ids(&self, path: &str) -> Result<Vec<&str>, StepError> {
        self.texts(EHR_ID, path)
    }

    /// Data sharing at a site: appends the column of filters, given in the order of rows.
    ///
    /// # Errors
    /// When there are more or fewer filters than rows.
    pub fn with_filters(mut self, filters: &[Bits]) -> Result<ResultSet, StepError> {
        if filters.len() != self.rows.len() {
            return Err(StepError::Filters { filters: filters.len(), rows: self.rows.len() });
        }
        self.columns.push(column(FILTER_COLUMN));
        for (row, filter) in self.rows.iter_mut().zip(filters) {
            row.push(Cell::Text(filter.to_rbf_text()));
        }
        Ok(self)
    }

    /// Feasibility at a site: filters only. A row whose person was not found (`None`) is left out.
    ///
    /// # Errors
    /// When there are more or fewer filters than rows.
    pub fn filters_only(mut self, filters: &[Option<Bits>]) -> Result<ResultSet, StepError> {
        if filters.len() != self.rows.len() {
            return Err(StepError::Filters { filters: filters.len(), rows: self.rows.len() });
        }
        self.columns = vec![column(FILTER_COLUMN)];
        self.rows = filters.iter().flatten().map(|filter| vec![Cell::Text(filter.to_rbf_text())]).collect();
        Ok(self)
    }

    /// Data sharing at a site: the id is encrypted into a column of its own at the end, filters stay as
    /// they are, everything else is encrypted.
    ///
    /// # Errors
    /// When there is no column of ids.
    pub fn encrypt_for_third_party(
        mut self,
        encryption: Encryption<'_>,
        ehr_id_path: &str,
        random: &mut dyn rand::CryptoRng,
    ) -> Result<ResultSet, StepError> {
        self.ehr_ids(ehr_id_path)?;
        let id = self.needed(EHR_ID, ehr_id_path)?;
        let filter = self.column(FILTER_COLUMN.0, FILTER_COLUMN.1);
        for row in &mut self.rows {
            let mut sealed = Vec::with_capacity(row.len());
            for (place, cell) in row.iter().enumerate() {
                if Some(place) == filter {
                    sealed.push(cell.clone());
                } else if place != id {
                    sealed.push(cell.seal(encryption.data_key, encryption.study, random));
                }
            }
            let text = row.get(id).and_then(Cell::text).unwrap_or_default();
            let own = encrypt(encryption.organization_key, encryption.organization, text, random);
            sealed.push(Cell::Text(own));
            *row = sealed;
        }
        self.columns.remove(id);
        self.columns.push(column(MEDIC_ID_COLUMN));
        Ok(self)
    }

    /// The filters of a result set at the third party. The wire says nothing about how they were made:
    /// the header is what the sites agreed on.
    ///
    /// # Errors
    /// When there is no column of filters, or a filter cannot be read or is too long.
    pub fn filters(&self, header: Header) -> Result<FilterSet, StepError> {
        let bits = header.bits as usize;
        let mut set = FilterSet::new(header);
        for text in self.texts(FILTER_COLUMN.0, FILTER_COLUMN.1)? {
            set.push(&Bits::from_rbf_text(text, bits)?)?;
        }
        Ok(set)
    }

    /// Data sharing at the requesting site: everything but the pseudonym is decrypted, the pseudonym is
    /// the last column.
    ///
    /// # Errors
    /// When a cell does not open.
    pub fn decrypt(self, data_key: &Key256, study: &str) -> Result<ResultSet, StepError> {
        self.all_but_pseudonym(|cell| cell.open(data_key, study))
    }

    /// A research result on its way to the third party: everything but the pseudonym is encrypted, the
    /// pseudonym is the last column.
    ///
    /// # Errors
    /// When there is no column of pseudonyms.
    pub fn encrypt_research_result(
        self,
        data_key: &Key256,
        study: &str,
        random: &mut dyn rand::CryptoRng,
    ) -> Result<ResultSet, StepError> {
        self.all_but_pseudonym(|cell| Ok(cell.seal(data_key, study, random)))
    }

    fn all_but_pseudonym(
        mut self,
        mut change: impl FnMut(&Cell) -> Result<Cell, CellError>,
    ) -> Result<ResultSet, StepError> {
        let place = self.needed(PSEUDONYM_COLUMN.0, PSEUDONYM_COLUMN.1)?;
        let pseudonym = self.columns.remove(place);
        self.columns.push(pseudonym);
        for row in &mut self.rows {
            let pseudonym = row.remove(place);
            for cell in row.iter_mut() {
                *cell = change(cell)?;
            }
            row.push(pseudonym);
        }
        Ok(self)
    }

    /// Data sharing at the third party: one row per record, with the pseudonym of its group in place of
    /// filter and id. Rows follow the shuffled pseudonyms. `created` is the time of making.
    ///
    /// # Errors
    /// When sites sent different columns, or a group does not fit the sets.
    pub fn pseudonymised(
        sites: &[SiteResult],
        groups: &[Group],
        keys: &StudyKeys,
        created: &str,
        random: &mut dyn rand::CryptoRng,
    ) -> Result<ResultSet, StepError> {
        let kept = |column: &&Column| {
            let is = |(name, path): (&str, &str)| column.name == name && column.path == path;
            !is(FILTER_COLUMN) && !is(MEDIC_ID_COLUMN)
        };
        let layout = |site: &SiteResult| site.result.columns.iter().filter(kept).cloned().collect::<Vec<_>>();
        let mut columns = sites.first().map(layout).unwrap_or_default();
        if let Some(other) = sites.iter().position(|site| layout(site) != columns) {
            return Err(StepError::Layout(other + 1));
        }
        let mut ids = Vec::new();
        for site in sites {
            ids.push(site.result.texts(MEDIC_ID_COLUMN.0, MEDIC_ID_COLUMN.1)?);
        }
        let id = |record: &Record| {
            let value = ids.get(record.site)?.get(record.index)?;
            Some(MedicId {
                organization: sites[record.site].organization.clone(),
                value: Some((*value).to_owned()),
            })
        };
        let persons: Option<Vec<Vec<MedicId>>> =
            groups.iter().map(|group| group.iter().map(id).collect()).collect();
        let mut rows = Vec::new();
        for (place, pseudonym) in keys.create(&persons.ok_or(StepError::Group)?, random)? {
            for record in &groups[place] {
                let result = &sites[record.site].result;
                let cells = result.columns.iter().zip(&result.rows[record.index]);
                let mut row: Vec<Cell> =
                    cells.filter(|(column, _)| kept(column)).map(|(_, cell)| cell.clone()).collect();
                row.push(Cell::Text(pseudonym.clone()));
                rows.push(row);
            }
        }
        columns.push(column(PSEUDONYM_COLUMN));
        let mut meta = sites.first().map(|site| site.result.meta.clone()).unwrap_or_default();
        match meta.iter_mut().find(|(name, _)| *name == CREATED) {
            Some((_, time)) => created.clone_into(time),
            None => meta.push((CREATED, created.to_owned())),
        }
        Ok(ResultSet { meta, name: String::new(), query: String::new(), columns, rows })
    }
}

/// Groups for data sharing without record linkage: every record is its own.
#[must_use]
pub fn unlinked(sites: &[SiteResult]) -> Vec<Group> {
    let records = |(site, result): (usize, &SiteResult)| {
        (0..result.result.rows.len()).map(move |index| vec![Record { site, index }]).collect::<Vec<_>>()
    };
    sites.iter().enumerate().flat_map(records).collect()
}
