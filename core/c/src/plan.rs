//! Plans in the caller's memory.

use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, guarded};
use crate::kinds;
use crate::memory::{self, Arena, PICARDY_ALIGNMENT, Region, Size};
use crate::source::picardy_plan_spec;
use core::ffi::c_void;
use core::{mem, ptr};
use picardy::{Level, MAX_OUTPUTS, MAX_STATES, Node, Plan, Readout, Term};

/// A plan: what a sampler runs. It lies in memory that the caller gave, and is read only.
#[derive(Debug)]
pub struct picardy_plan {
    _private: [u8; 0],
}

/// A noise level, `z = alpha data + sigma noise`, and what the network is told of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_level {
    /// The factor of the data.
    pub alpha: f64,
    /// The factor of the noise.
    pub sigma: f64,
    /// What the network is told: a timestep, or a sigma. Of densities it does not count: the likelihood's schedule says it.
    pub t: f64,
}

/// `weight` times what stands `back` nodes earlier; `back` 0 is no term.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_term {
    /// The coefficient.
    pub weight: f64,
    /// How many nodes back, at most 255.
    pub back: u32,
}

/// One node of a plan, for tables in flash.
///
/// x = sum states + sum outputs + noise z, and where `evaluated`, m = read_state x + read_output network(read_input x, t).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct picardy_node {
    /// Where the state lives.
    pub level: picardy_level,
    /// What earlier states come to it with.
    pub states: [picardy_term; 2],
    /// What earlier outputs come to it with.
    pub outputs: [picardy_term; 4],
    /// What unit noise comes to it with; at the first node, what a unit start is multiplied by.
    pub noise: f64,
    /// Not 0 where the network is evaluated.
    pub evaluated: u32,
    /// The network is shown this times the state.
    pub read_input: f64,
    /// The factor of the state in the output.
    pub read_state: f64,
    /// The factor of what the network says.
    pub read_output: f64,
}

const _: () = assert!(MAX_STATES == 2 && MAX_OUTPUTS == 4);

/// What a plan is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct picardy_plan_info {
    /// Its nodes, the start first.
    pub nodes: usize,
    /// How often a sequential run calls the network.
    pub evaluations: usize,
    /// Rows of `dim` numbers that a sequential run takes for each item.
    pub rows: usize,
    /// A `picardy_form`.
    pub form: i32,
}

/// Bytes that suffice for a plan beside its nodes.
pub const PICARDY_PLAN_HEADER_BYTES: usize = 96;
/// Bytes that suffice for a node of a plan, and a level of its schedule.
pub const PICARDY_NODE_BYTES: usize = 184;

const _: () = assert!(mem::size_of::<Sealed>() <= PICARDY_PLAN_HEADER_BYTES);
const _: () = assert!(mem::align_of::<Sealed>() <= PICARDY_ALIGNMENT);
const _: () = assert!(mem::size_of::<Node>() + mem::size_of::<Level>() <= PICARDY_NODE_BYTES);

/// What a [`picardy_plan`] points to; the seal is read before anything else is.
#[repr(C)]
struct Sealed {
    seal: usize,
    plan: Plan<'static>,
}

const KIND: usize = 1;

/// The plan that C points to.
///
/// # Safety
/// Where it is not null, the pointer points to readable memory of a plan's size, which lasts as long as the plan is used.
pub(crate) unsafe fn open(plan: *const picardy_plan) -> Result<Plan<'static>, Fault> {
    let sealed = plan.cast::<Sealed>();
    // SAFETY: the seal is an integer; the caller's promise.
    let found = unsafe { memory::read(sealed.cast::<usize>(), "plan") }?;
    if !sealed.is_aligned() || found != memory::seal(sealed, KIND) {
        return Err(Fault::new(code::PICARDY_ERROR_NOT_A_PLAN));
    }
    // SAFETY: the seal says that a `Sealed` was written here.
    Ok(unsafe { (*sealed).plan })
}

/// The memory of an open plan, which no other buffer may share.
pub(crate) fn regions(at: *const picardy_plan, plan: &Plan<'_>) -> Result<[Region; 2], Fault> {
    let nodes = plan.nodes();
    Ok([Region::new(at.cast::<Sealed>(), 1, "plan")?, Region::new(nodes.as_ptr(), nodes.len(), "plan")?])
}

/// The memory of a plan, which is none where the pointer is no plan's.
///
/// # Safety
/// As for [`open`].
pub(crate) unsafe fn lent(at: *const picardy_plan) -> [Region; 2] {
    // SAFETY: the caller's promise.
    unsafe { open(at) }.and_then(|plan| regions(at, &plan)).unwrap_or([Region::NOTHING; 2])
}

/// The size of a plan of a spec, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_size(
    spec: *const picardy_plan_spec,
    bytes: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let spec = unsafe { memory::read(spec, "spec") }?;
        let (levels, nodes) = spec.lengths()?;
        let size = Size::of::<Sealed>().and::<Node>(nodes)?.and::<Level>(levels)?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(bytes, size.bytes(), "bytes") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Makes a plan in the caller's `memory`, of `picardy_plan_size` bytes; `plan` points into it then, and is null after an error.
/// What was made in the memory before is gone, after an error too.
///
/// # Safety
/// Pointers are null or point to what their types say; `memory` is the plan's as long as that is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_make(
    spec: *const picardy_plan_spec,
    memory: *mut c_void,
    bytes: usize,
    plan: *mut *const picardy_plan,
    detail: *mut picardy_detail,
) -> i32 {
    let memory = memory.cast::<u8>();
    // SAFETY: the caller's promise.
    let lent = unsafe { memory::lend((plan, ptr::null(), "plan"), memory, bytes) };
    let taken = [lent.unwrap_or(Region::NOTHING)];
    let work = || {
        lent?;
        // SAFETY: the caller's promise.
        let spec = unsafe { memory::read(spec, "spec") }?;
        let (levels, nodes) = spec.lengths()?;
        let size = Size::of::<Sealed>().and::<Node>(nodes)?.and::<Level>(levels)?;
        // SAFETY: the caller lends the memory.
        let mut arena = unsafe { Arena::new(memory, bytes, size.bytes()) }?;
        let sealed = arena.take::<Sealed>(1)?;
        // SAFETY: the caller lends the memory.
        let nodes = unsafe { arena.fill(nodes, Node::default()) }?;
        // SAFETY: the same.
        let levels = unsafe { arena.fill(levels, Level::default()) }?;
        let made = spec.plan(levels, nodes)?;
        // SAFETY: `sealed` is the arena's, and `plan` was seen to be writable.
        unsafe { finish(sealed, made, plan) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken], work) }
}

/// The size of a plan of a table of so many nodes, in bytes.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_table_size(
    nodes: usize,
    bytes: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        let size = Size::of::<Sealed>().and::<Node>(nodes)?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(bytes, size.bytes(), "bytes") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[], work) }
}

/// Makes a plan of a table of nodes (in flash, say) in the caller's `memory`, of `picardy_plan_table_size` bytes; `plan` points
/// into it then, and is null after an error. `form` is a `picardy_form`. What was made in the memory before is gone, after an
/// error too.
///
/// The table is copied, and not used any more then: it saves the code of schedules and solvers, but no RAM. A plan whose nodes
/// stay in flash there is in Rust (`Plan::new` of a `static`): the nodes of the two languages have different layouts.
///
/// # Safety
/// Pointers are null or point to what their types say, `nodes` to `count` of them; `memory` is the plan's as long as that is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_from_table(
    nodes: *const picardy_node,
    count: usize,
    form: i32,
    memory: *mut c_void,
    bytes: usize,
    plan: *mut *const picardy_plan,
    detail: *mut picardy_detail,
) -> i32 {
    let memory = memory.cast::<u8>();
    // SAFETY: the caller's promise.
    let lent = unsafe { memory::lend((plan, ptr::null(), "plan"), memory, bytes) };
    let taken = [lent.unwrap_or(Region::NOTHING)];
    let work = || {
        let lent = lent?;
        let form = kinds::form(form)?;
        lent.apart_from(Region::new(nodes, count, "nodes")?)?;
        // SAFETY: the caller's promise.
        let table = unsafe { memory::slice(nodes, count, "nodes") }?;
        let size = Size::of::<Sealed>().and::<Node>(count)?;
        // SAFETY: the caller lends the memory.
        let mut arena = unsafe { Arena::new(memory, bytes, size.bytes()) }?;
        let sealed = arena.take::<Sealed>(1)?;
        // SAFETY: the same.
        let made = unsafe { arena.fill(count, Node::default()) }?;
        for (index, (to, from)) in made.iter_mut().zip(table).enumerate() {
            *to = from.node().ok_or(Fault::new(code::PICARDY_ERROR_TERM).index(index))?;
        }
        let made = Plan::new(made, form)?;
        // SAFETY: `sealed` is the arena's, and `plan` was seen to be writable.
        unsafe { finish(sealed, made, plan) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken], work) }
}

/// # Safety
/// `sealed` is memory for one; `plan` is null, misaligned or memory for a pointer.
unsafe fn finish(
    sealed: *mut Sealed,
    made: Plan<'static>,
    plan: *mut *const picardy_plan,
) -> Result<(), Fault> {
    // SAFETY: the caller's promise.
    unsafe { sealed.write(Sealed { seal: memory::seal(sealed, KIND), plan: made }) };
    // SAFETY: the caller's promise.
    unsafe { memory::write(plan, sealed.cast_const().cast(), "plan") }
}

/// What a plan is.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_about(
    plan: *const picardy_plan,
    info: *mut picardy_plan_info,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let open = unsafe { open(plan) }?;
        let about = picardy_plan_info {
            nodes: open.nodes().len(),
            evaluations: open.evaluations(),
            rows: picardy::Sequential::rows(open.reach(), 1),
            form: kinds::form_value(open.form()),
        };
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(info, about, "info", &lent(plan)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(plan)], work) }
}

/// Node `index` of a plan: what a program on the host writes a table from.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_plan_node(
    plan: *const picardy_plan,
    index: usize,
    node: *mut picardy_node,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let open = unsafe { open(plan) }?;
        let nodes = open.nodes();
        let missing = Fault::new(code::PICARDY_ERROR_INDEX).given(index).needed(nodes.len());
        let found = picardy_node::of(nodes.get(index).ok_or(missing)?);
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(node, found, "node", &lent(plan)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(plan)], work) }
}

impl picardy_node {
    fn of(node: &Node) -> Self {
        let Level { alpha, sigma, t } = node.level;
        let term = |term: Term| picardy_term { weight: term.weight, back: u32::from(term.back) };
        let read = node.evaluate.unwrap_or(Readout { input: 0.0, state: 0.0, output: 0.0 });
        Self {
            level: picardy_level { alpha, sigma, t },
            states: node.states.map(term),
            outputs: node.outputs.map(term),
            noise: node.noise,
            evaluated: u32::from(node.evaluate.is_some()),
            read_input: read.input,
            read_state: read.state,
            read_output: read.output,
        }
    }

    /// `None` where a term reaches further back than a node can say.
    fn node(&self) -> Option<Node> {
        let picardy_level { alpha, sigma, t } = self.level;
        let back = |term: picardy_term| u8::try_from(term.back).ok();
        let (mut states, mut outputs) = ([Term::NONE; MAX_STATES], [Term::NONE; MAX_OUTPUTS]);
        let terms = states.iter_mut().chain(&mut outputs).zip(self.states.iter().chain(&self.outputs));
        for (to, from) in terms {
            *to = Term::new(back(*from)?, from.weight);
        }
        let read = Readout { input: self.read_input, state: self.read_state, output: self.read_output };
        let evaluate = if self.evaluated != 0 { Some(read) } else { None };
        Some(Node { level: Level { alpha, sigma, t }, evaluate, states, outputs, noise: self.noise })
    }
}
