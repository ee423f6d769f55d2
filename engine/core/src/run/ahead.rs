//! Looking ahead: the next run, opened on a copy of the ledger and planned by the code of the run, with nothing changed
//! and nothing sent (rule 31).

use std::collections::BTreeMap;

use crate::destination::{Destination, Target};
use crate::mapping::Projection;
use crate::plan::{self, Planned};
use crate::warehouse::{Column, Connection};

use super::claims::check_claim;
use super::compile::{self, Access, Compiled, Opened};
use super::desk::{Desk, accepted, bind, recover};
use super::work::interruptible;
use super::{RunError, RunRequest, compiled, numbered, open, run_info};

/// A run that is only looked at. Its ledger is a copy, and has what a stopped run left taken in, as the run itself does
/// first.
pub struct Ahead {
    /// The request, with the run's number.
    pub request: RunRequest,
    /// What the opened destination can do.
    pub target: Target,
    /// How the model is read.
    pub projection: Projection,
    /// The fingerprint of the plugin's bytes.
    pub plugin: String,
    /// The instance with its ledger.
    pub opened: Opened,
    /// The connection that has the plan's tables.
    pub connection: Connection,
    /// What was done with what a stopped run left.
    pub notes: Vec<String>,
    pinned: BTreeMap<String, Vec<Column>>,
}

/// Opens the next run of the sync, up to where it would compare.
pub async fn ahead(request: &RunRequest) -> Result<(Ahead, Box<dyn Destination>), RunError> {
    let Compiled {
        opened,
        connection,
        projection,
        pinned,
        ..
    } = compiled(request, Access::Copy).await?;
    let request = numbered(request, &opened.ledger);
    let interrupter = opened.warehouse.interrupter();
    let (destination, projection) = open(&request, projection, Some(run_info(&request))).await?;
    let target = destination.target().clone();
    check_claim(&request, target.exclusive()).await?;
    let plugin = compile::plugin(&request).await?;
    let name = compile::target_name(&request, &target, destination.check_offline().await)?;
    let job = request.clone();
    let ahead = interruptible(&request, &interrupter, move || {
        let Opened { warehouse, ledger } = opened;
        let mut desk = Desk { ledger, connection };
        let (_, notes) = recover(&job, &mut desk, accepted(&job))?;
        let Desk {
            mut ledger,
            mut connection,
        } = desk;
        let layout = &projection.layout;
        bind(&job, &mut ledger, &mut connection, name, layout, accepted(&job))?;
        Ok(Ahead {
            request: job,
            target,
            projection,
            plugin,
            opened: Opened { warehouse, ledger },
            connection,
            notes,
            pinned,
        })
    })
    .await?;
    Ok((ahead, destination))
}

impl Ahead {
    /// Plans the run into tables of the connection. Where guards would stop it, the plan is what it would do if they were
    /// allowed.
    pub fn plan(&mut self) -> Result<Planned, RunError> {
        let (request, options) = (&self.request, &self.request.options);
        let wanted = plan::Request {
            projection: &self.projection,
            sync: compile::sync(&request.project, &request.sync)?,
            target: &self.target,
            run: request.number,
            full_resync: options.full_resync,
            orders: &options.orders,
            force: options.force,
            allow: &options.allow,
            pinned: &self.pinned,
            plugin: Some(&self.plugin),
        };
        Ok(plan::preview(&mut self.connection, &self.opened.ledger, &wanted)?)
    }
}
