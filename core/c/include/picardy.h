// Picardy for C: samples diffusion models, in sequence and in parallel over time, and says how likely and how noisy an input
// is, without globals and without a heap.
//
// Written by `PICARDY_UPDATE=1 cargo test -p picardy-c --test header`; not to be edited.
//
// Plans, networks, runs and likelihoods lie in memory that you give, aligned to PICARDY_ALIGNMENT; a function tells each one's
// size. Functions return 0 or the code of an error: picardy_error_text says it in words, a picardy_detail (or null) gets its values.
//
//     picardy_plan_spec spec = picardy_plan_spec_ddim();                     // what to run
//     picardy_plan_make(&spec, plan_memory, sizeof plan_memory, &plan, &detail);
//     picardy_setup setup = {plan, picardy_sampler_sequential(), seed, 0, batch, dim};
//     picardy_run_need(&setup, &need, &detail);                              // how much memory, and the worst case
//     picardy_denoiser denoiser = {.evaluate = my_network};                  // or .network, .scratch, .conditions
//     picardy_start(&setup, x, &detail);
//     picardy_sample(&setup, &denoiser, NULL, NULL, run_memory, need.bytes, x, &report, &detail);
//
//     picardy_likelihood_spec how = picardy_likelihood_spec_logistic(dim);   // how likely an input is
//     picardy_likelihood_make(&how, likelihood_memory, sizeof likelihood_memory, &likelihood, &detail);
//     picardy_log_density(likelihood, &denoiser, NULL, x, items, nats, &detail);
//     if (picardy_is_alarm(threshold, -nats[0].value)) { ... }               // picardy_threshold_calibrate


#ifndef PICARDY_H
#define PICARDY_H

#include <stddef.h>
#include <stdint.h>

// Bytes that suffice for a plan of `steps` steps of a solver with one node a step (all but Heun's, UniPC and the single-step
// DPM-Solver++); picardy_plan_size tells any plan's.
#define PICARDY_PLAN_BYTES(steps) (PICARDY_PLAN_HEADER_BYTES + ((steps) + 1) * PICARDY_NODE_BYTES)

// Bytes that suffice for a sequential run of a plan of `rows` rows an item (picardy_plan_info.rows: 2 for DDIM and DDPM, 3 for
// DPM-Solver++ 2M); picardy_run_need tells any run's.
#define PICARDY_SEQUENTIAL_BYTES(rows, batch, dim) \
    (PICARDY_RUN_HEADER_BYTES + (batch) * (PICARDY_ROW_BYTES + (rows) * (dim) * 4))

// Bytes that suffice for a likelihood of `rows` rows a call, of a network that knows so many `timesteps` (0 of flows and of sigmas);
// picardy_likelihood_size tells any likelihood's. Of a spec whose rows are SIZE_MAX, `rows` here is 2 x evaluations; a number too large
// gives SIZE_MAX, which no array has.
#define PICARDY_LIKELIHOOD_BYTES(rows, dim, timesteps) \
    ((rows) > SIZE_MAX / 4 / (PICARDY_NODE_BYTES + PICARDY_ROW_BYTES + (dim) * 8) \
         ? SIZE_MAX \
         : (PICARDY_LIKELIHOOD_HEADER_BYTES + (timesteps) * 8 + (rows) * (PICARDY_NODE_BYTES + PICARDY_ROW_BYTES + (dim) * 8)))

// The numbers of a profile: bands of log-SNRs, from low ones to high ones.
#define PICARDY_BANDS 8

// Bytes that suffice for a likelihood beside its rows and timesteps.
#define PICARDY_LIKELIHOOD_HEADER_BYTES 384

// The alignment of the memory that plans, networks, runs and likelihoods take, in bytes.
#define PICARDY_ALIGNMENT 8

// Bytes that suffice for a residual MLP without a condition; `picardy_network_size` says how many any network takes.
#define PICARDY_NETWORK_BYTES 2048

// Bytes that suffice for a plan beside its nodes.
#define PICARDY_PLAN_HEADER_BYTES 96

// Bytes that suffice for a node of a plan, and a level of its schedule.
#define PICARDY_NODE_BYTES 184

// Bytes that suffice for a sequential run beside its rows, of numbers and of calls.
#define PICARDY_RUN_HEADER_BYTES 384

// Bytes of a `picardy_row`, of which a run keeps as many as its largest call has.
#define PICARDY_ROW_BYTES 20

// Why a call failed; `picardy_error_text` says each in words.
enum picardy_error
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It did not.
  PICARDY_OK = 0,
  // A null pointer.
  PICARDY_ERROR_NULL = 1,
  // A misaligned pointer.
  PICARDY_ERROR_MISALIGNED = 2,
  // Too little memory.
  PICARDY_ERROR_MEMORY = 3,
  // Two buffers share bytes. Where one is the detail, that is not written.
  PICARDY_ERROR_OVERLAP = 4,
  // A length beyond all memory.
  PICARDY_ERROR_SIZE = 5,
  // An integer that is none of its enum's values.
  PICARDY_ERROR_UNKNOWN_VALUE = 6,
  // An index past the end.
  PICARDY_ERROR_INDEX = 7,
  // A pointer that is no plan's.
  PICARDY_ERROR_NOT_A_PLAN = 8,
  // A pointer that is no network's.
  PICARDY_ERROR_NOT_A_NETWORK = 9,
  // A pointer that is no run's, or a run that is finished.
  PICARDY_ERROR_NOT_A_RUN = 10,
  // A run or a likelihood that is used inside its own callback.
  PICARDY_ERROR_BUSY = 11,
  // A denoiser that is neither a function nor a network, or both.
  PICARDY_ERROR_DENOISER = 12,
  // The denoiser's function returned an error.
  PICARDY_ERROR_CALLBACK = 13,
  // The denoiser wrote a NaN or an infinity.
  PICARDY_ERROR_NOT_FINITE = 14,
  // The last state overflowed.
  PICARDY_ERROR_OVERFLOW = 15,
  // The start is not finite.
  PICARDY_ERROR_START = 16,
  // No batch, or no coordinates.
  PICARDY_ERROR_SHAPE = 17,
  // A setting of 0.
  PICARDY_ERROR_ZERO = 18,
  // A number out of its range.
  PICARDY_ERROR_RANGE = 19,
  // Fewer rows in a call than items.
  PICARDY_ERROR_ROWS = 20,
  // No steps, or more than the schedule has.
  PICARDY_ERROR_STEPS = 30,
  // A timestep that the schedule does not have.
  PICARDY_ERROR_TIMESTEP = 31,
  // A schedule without timesteps, or with too many.
  PICARDY_ERROR_TRAIN_STEPS = 32,
  // A beta outside (0, 1), or a product of betas that is 0 or 1.
  PICARDY_ERROR_BETA = 33,
  // Sigmas that are no range.
  PICARDY_ERROR_SIGMA_RANGE = 34,
  // A level that is none, or not cleaner than the one before.
  PICARDY_ERROR_LEVEL = 35,
  // An order that the solver does not have.
  PICARDY_ERROR_ORDER = 36,
  // The prediction says nothing at a level.
  PICARDY_ERROR_SINGULAR = 37,
  // A table without a start, an evaluated node and an end.
  PICARDY_ERROR_EMPTY = 38,
  // A term that reaches to where nothing is.
  PICARDY_ERROR_TERM = 39,
  // A node that is not finite.
  PICARDY_ERROR_NODE = 40,
  // Bytes that are no artifact.
  PICARDY_ERROR_ARTIFACT = 50,
  // A tensor that is missing or of another type or shape.
  PICARDY_ERROR_TENSOR = 51,
  // A network of a kind or size that this library does not run.
  PICARDY_ERROR_MODEL = 52,
  // An artifact's card that is missing or wrong.
  PICARDY_ERROR_CARD = 53,
  // Too little scratch.
  PICARDY_ERROR_SCRATCH = 54,
  // States of another size than the network's.
  PICARDY_ERROR_DIMENSION = 55,
  // A weight that is not finite, or an int8's scale that is not positive.
  PICARDY_ERROR_WEIGHT = 56,
  // No conditions for a network that takes them.
  PICARDY_ERROR_NO_CONDITION = 57,
  // More or fewer numbers of conditions than the items have.
  PICARDY_ERROR_CONDITION = 58,
  // More actions than a chunk has, or has left.
  PICARDY_ERROR_HORIZON = 60,
  // A number that is not finite.
  PICARDY_ERROR_NUMBER = 61,
  // A speed beyond its own limit.
  PICARDY_ERROR_SPEED = 62,
  // A pointer that is no likelihood's.
  PICARDY_ERROR_NOT_A_LIKELIHOOD = 70,
  // Too few evaluations.
  PICARDY_ERROR_EVALUATIONS = 71,
  // A noise level without signal, or that is none.
  PICARDY_ERROR_SIGNAL = 72,
  // A log-SNR at which the network cannot be asked.
  PICARDY_ERROR_LOG_SNR = 73,
  // An evaluation of a density that is not finite.
  PICARDY_ERROR_EVALUATION = 74,
  // Too few held-out scores or profiles.
  PICARDY_ERROR_SCORES = 75,
  // Profiles that do not vary.
  PICARDY_ERROR_SPREAD = 76,
  // An error that this border has no code for.
  PICARDY_ERROR_OTHER = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_error picardy_error;
#else
typedef int32_t picardy_error;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the network's output is.
enum picardy_prediction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The noise.
  PICARDY_PREDICTION_EPSILON = 0,
  // The data.
  PICARDY_PREDICTION_SAMPLE = 1,
  // `v = alpha noise - sigma data`.
  PICARDY_PREDICTION_V = 2,
  // The velocity of flow matching, `noise - data`.
  PICARDY_PREDICTION_FLOW = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_prediction picardy_prediction;
#else
typedef int32_t picardy_prediction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the outputs in a plan's recurrence are.
enum picardy_form
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Estimates of the data.
  PICARDY_FORM_DATA = 0,
  // Estimates of the noise.
  PICARDY_FORM_NOISE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_form picardy_form;
#else
typedef int32_t picardy_form;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the noise levels are.
enum picardy_schedule_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Betas linear from `beta_start` to `beta_end`.
  PICARDY_SCHEDULE_LINEAR = 0,
  // Their square roots linear.
  PICARDY_SCHEDULE_SCALED_LINEAR = 1,
  // The cosine schedule (`squaredcos_cap_v2`); no ends.
  PICARDY_SCHEDULE_COSINE = 2,
  // A sigmoid from `beta_start` to `beta_end`.
  PICARDY_SCHEDULE_SIGMOID = 3,
  // Sigmas along Karras' curve (EDM): `sigma_min`, `sigma_max`, `rho`.
  PICARDY_SCHEDULE_KARRAS = 4,
  // Sigmas with equal steps in their logarithm: `sigma_min`, `sigma_max`.
  PICARDY_SCHEDULE_EXPONENTIAL = 5,
  // Flow matching: `train_steps`, `shift`.
  PICARDY_SCHEDULE_FLOW = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_schedule_kind picardy_schedule_kind;
#else
typedef int32_t picardy_schedule_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which timesteps a run visits, of a schedule of betas.
enum picardy_spacing
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // From the last timestep: right for few steps.
  PICARDY_SPACING_TRAILING = 0,
  // To timestep `offset`.
  PICARDY_SPACING_LEADING = 1,
  // Both ends.
  PICARDY_SPACING_LINSPACE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_spacing picardy_spacing;
#else
typedef int32_t picardy_spacing;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where a run over betas ends.
enum picardy_final
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // At no noise.
  PICARDY_FINAL_DATA = 0,
  // At the level of timestep 0.
  PICARDY_FINAL_FIRST_TIMESTEP = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_final picardy_final;
#else
typedef int32_t picardy_final;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How to step between levels.
enum picardy_solver_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // DDIM; `eta` 0 (none) to 1 (DDPM's noise).
  PICARDY_SOLVER_DDIM = 0,
  // DDPM, the posterior's variance.
  PICARDY_SOLVER_DDPM = 1,
  // DPM-Solver++, multistep, of `order` 1 to 3 (2 is "2M").
  PICARDY_SOLVER_DPMPP = 2,
  // Its SDE, of `order` 1 or 2.
  PICARDY_SOLVER_DPMPP_SDE = 3,
  // DPM-Solver++, single step, of `order` 1 to 3.
  PICARDY_SOLVER_DPMPP_SINGLE = 4,
  // UniPC of `order` 1 to 3.
  PICARDY_SOLVER_UNIPC = 5,
  // DEIS of `order` 1 to 3.
  PICARDY_SOLVER_DEIS = 6,
  // Linear multistep of `order` 1 to 4.
  PICARDY_SOLVER_LMS = 7,
  // Euler's method in variance-exploding coordinates.
  PICARDY_SOLVER_EULER = 8,
  // The same with fresh noise, `eta` 0 to 1.
  PICARDY_SOLVER_EULER_ANCESTRAL = 9,
  // Heun's method in variance-exploding coordinates.
  PICARDY_SOLVER_HEUN = 10,
  // Euler's method in flow-matching coordinates.
  PICARDY_SOLVER_FLOW_EULER = 11,
  // Heun's method in flow-matching coordinates.
  PICARDY_SOLVER_FLOW_HEUN = 12,
  // Latent consistency models.
  PICARDY_SOLVER_LCM = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_solver_kind picardy_solver_kind;
#else
typedef int32_t picardy_solver_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Who is evaluated when.
enum picardy_sampler_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // One node after the other.
  PICARDY_SAMPLER_SEQUENTIAL = 0,
  // Many nodes at a time: Picard iteration in a sliding window.
  PICARDY_SAMPLER_PICARD = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_sampler_kind picardy_sampler_kind;
#else
typedef int32_t picardy_sampler_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How Picard carries outputs to new states.
enum picardy_slope
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // By the secant of the last two evaluations.
  PICARDY_SLOPE_SECANT = 0,
  // As ParaDiGMS does.
  PICARDY_SLOPE_IDENTITY = 1,
  // As they are.
  PICARDY_SLOPE_FROZEN = 2,
  // As if the data were Gaussian.
  PICARDY_SLOPE_GAUSSIAN = 3,
  // By the last `directions` (1 to 4) evaluations.
  PICARDY_SLOPE_MULTISECANT = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_slope picardy_slope;
#else
typedef int32_t picardy_slope;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which distribution log-SNRs are drawn from.
enum picardy_log_snrs_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Logistic, of `loc` and `scale`, cut off at `clip`.
  PICARDY_LOG_SNRS_LOGISTIC = 0,
  // Uniform, from `low` to `high`.
  PICARDY_LOG_SNRS_UNIFORM = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum picardy_log_snrs_kind picardy_log_snrs_kind;
#else
typedef int32_t picardy_log_snrs_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What densities are estimated with. It lies in memory that the caller gave, and is of one call at a time.
typedef struct picardy_likelihood picardy_likelihood;

// A network: it lies in memory that the caller gave, its weights stay where the artifact is.
typedef struct picardy_network picardy_network;

// A plan: what a sampler runs. It lies in memory that the caller gave, and is read only.
typedef struct picardy_plan picardy_plan;

// A run under way: it lies in memory that the caller gave.
typedef struct picardy_run picardy_run;

// The mean and the covariance of held-out inputs' profiles: plain numbers, which can be kept in a file or in flash.
//
// They hold for profiles of the same network, units and `picardy_likelihood_spec` (seed, evaluations and log_snrs too) alone: the
// draws' own error is in every profile, the same for all inputs. Keep the spec beside them.
typedef struct picardy_typical {
  // The mean.
  double mean[PICARDY_BANDS];
  // The covariance's lower Cholesky factor.
  double factor[PICARDY_BANDS][PICARDY_BANDS];
} picardy_typical;

// The values of an error. Which count, its text says; the others are 0.
typedef struct picardy_detail {
  // A `picardy_error`.
  int32_t code;
  // What the denoiser's function returned.
  int32_t callback;
  // What is needed.
  size_t needed;
  // What was given.
  size_t given;
  // A node, level, timestep, evaluation, number, tensor or byte.
  size_t index;
  // An item of the batch.
  size_t item;
  // A number.
  double value;
  // An argument, field, tensor or key; ends with a 0.
  char name[48];
} picardy_detail;

// Above which score an input counts as out of distribution: plain numbers, which can be kept in a file or in flash.
//
// It holds for scores of the same network, units and `picardy_likelihood_spec` (seed, evaluations and log_snrs too), and of the same
// `picardy_typical`, alone: others may alarm at twice the rate and more. Keep the spec beside it.
typedef struct picardy_threshold {
  // A score above it is an alarm.
  double value;
  // The false-alarm rate that it was asked for.
  double rate;
  // The held-out scores that it was made of.
  size_t scores;
} picardy_threshold;

// One row of a call.
typedef struct picardy_row {
  // The item's place in the batch.
  uint32_t item;
  // The plan's node; of a density, the evaluation's place in the call.
  uint32_t node;
  // What the network is told: a timestep, or a sigma.
  float t;
  // The factor of the data in the row.
  float alpha;
  // The factor of the noise in the row.
  float sigma;
} picardy_row;

// Evaluates `count` rows of `dim` floats in one call: `x` and `out` are [count, dim], row-major. A row's output must depend on
// that row alone. Returns 0, or an error of its own, which comes back in `picardy_detail.callback`: a run is then as it was
// before.
typedef int32_t (*picardy_evaluate)(void *context,
                                    const struct picardy_row *rows,
                                    size_t count,
                                    size_t dim,
                                    const float *x,
                                    float *out);

// What evaluates rows: a function with its context, or a network with its scratch and its conditions; the other is null.
//
// A robot that plans from what it sees, with a network whose `picardy_card.condition` is the observation's numbers:
//
// ```c
// picardy_denoiser denoiser = {.network = network, .scratch = scratch, .scratch_floats = sizeof scratch / sizeof *scratch,
//                              .conditions = seen, .condition_floats = sizeof seen / sizeof *seen};
// ```
typedef struct picardy_denoiser {
  // The function.
  picardy_evaluate evaluate;
  // What it is given.
  void *context;
  // The network.
  const struct picardy_network *network;
  // What it works in.
  float *scratch;
  // The floats there.
  size_t scratch_floats;
  // What a network that takes a condition is told (an observation, a label): [items, picardy_card.condition] floats, each
  // item's own. Zeros are no condition. They are read in each call, so that they may change from round to round. Null for
  // other networks, and for a function.
  const float *conditions;
  // The floats there.
  size_t condition_floats;
} picardy_denoiser;

// A noise level, `z = alpha data + sigma noise`, and what the network is told of it.
typedef struct picardy_level {
  // The factor of the data.
  double alpha;
  // The factor of the noise.
  double sigma;
  // What the network is told: a timestep, or a sigma. Of densities it does not count: the likelihood's schedule says it.
  double t;
} picardy_level;

// An estimate in nats.
typedef struct picardy_nats {
  // Its value.
  double value;
  // Its standard error; infinite of one or two evaluations.
  double standard_error;
} picardy_nats;

// A batch of chunks of actions: `batch` items of `places` actions, each of `channels` numbers.
typedef struct picardy_chunk {
  // How many items.
  size_t batch;
  // The actions of an item: the horizon.
  size_t places;
  // The numbers of an action.
  size_t channels;
} picardy_chunk;

// Limits of a trajectory's differences, in the data's unit per step, of the Euclidean length over the channels.
typedef struct picardy_limits {
  // `|x[i] - x[i-1]|`, at most; infinity for no limit.
  double velocity;
  // `|x[i] - 2 x[i-1] + x[i-2]|`, at most; infinity for no limit.
  double acceleration;
  // Where each item stands one step before its first place, [batch, channels]; null for a free first place.
  const float *position;
  // What it moves by per step there, [batch, channels]; null where `position` is.
  const float *moving;
  // So many first places stay as they come.
  size_t keeping;
} picardy_limits;

// A noise schedule. Which fields count, its `kind` says.
typedef struct picardy_schedule {
  // A `picardy_schedule_kind`.
  int32_t kind;
  // The timesteps that the network was trained on (betas and flow).
  uint32_t train_steps;
  // The first beta.
  double beta_start;
  // The last beta.
  double beta_end;
  // Of betas: not 0 to rescale them to zero terminal SNR.
  int32_t zero_snr;
  // Of betas: a `picardy_spacing`.
  int32_t spacing;
  // Of betas: what leading spacing adds to every timestep.
  uint32_t offset;
  // Of betas: a `picardy_final`.
  int32_t last;
  // The smallest sigma.
  double sigma_min;
  // The largest sigma.
  double sigma_max;
  // Of Karras' curve; 7 is usual.
  double rho;
  // Of flow matching; 1 for none.
  double shift;
} picardy_schedule;

// Which log-SNRs are drawn. Which fields count, its `kind` says.
typedef struct picardy_log_snrs {
  // A `picardy_log_snrs_kind`.
  int32_t kind;
  // Of the logistic distribution: its middle, finite.
  double loc;
  // Its width, above 0.
  double scale;
  // Where it is cut off, in scales from the middle, above 0 and at most 30.
  double clip;
  // Of the uniform distribution: its lower end.
  double low;
  // Its upper end, above the lower.
  double high;
} picardy_log_snrs;

// How densities are estimated, and of which network.
typedef struct picardy_likelihood_spec {
  // Which noise levels the network was trained at (`picardy_card.schedule`); its spacing, offset and end do not count.
  struct picardy_schedule schedule;
  // A `picardy_prediction`: what the network's output is.
  int32_t prediction;
  // Which log-SNRs are drawn: those that the network knows, as far as its noise estimate differs from a Gaussian's.
  struct picardy_log_snrs log_snrs;
  // The variance of the data per coordinate, about; above 0. It changes the standard error alone.
  double variance;
  // The draws: the same seed gives the same numbers on every machine. All inputs share them. A `picardy_threshold` and a
  // `picardy_typical` hold for the seed alone that their scores and profiles had.
  uint64_t seed;
  // Evaluations of the network for an input and density; a profile takes at least 16.
  size_t evaluations;
  // The most rows of a call: what the memory grows with, and no result depends on. SIZE_MAX for all of an input's, of the two
  // densities of a ratio: 2 x evaluations, which is what `PICARDY_LIKELIHOOD_BYTES` is to be given then.
  size_t rows;
  // The numbers of an input.
  size_t dim;
} picardy_likelihood_spec;

// What a network was trained for.
typedef struct picardy_card {
  // The numbers of a state.
  size_t dim;
  // A residual MLP's width; 0 of a U-Net.
  size_t width;
  // Its blocks; 0 of a U-Net.
  size_t blocks;
  // The numbers of an item's condition (an observation, a label), 0 where the network takes none: for
  // `picardy_denoiser.conditions`.
  size_t condition;
  // An item's rows, places in a row and channels, which are what changes fastest; their product is `dim`. 1, 1 and `dim` of an
  // MLP, 1 in front of a temporal U-Net (`picardy_chunk.places`, `.channels`).
  size_t shape[3];
  // Its schedule, to be walked from the last timestep.
  struct picardy_schedule schedule;
  // A `picardy_prediction`.
  int32_t prediction;
  // The variance of what it saw, per coordinate: for `picardy_sampler.data_variance`.
  double data_variance;
} picardy_card;

// A solver.
typedef struct picardy_solver {
  // A `picardy_solver_kind`.
  int32_t kind;
  // Of the solvers that have one.
  uint32_t order;
  // How much noise steps add, 0 to 1, of the solvers that have a choice.
  double eta;
} picardy_solver;

// What a plan is made of.
typedef struct picardy_plan_spec {
  // Which noise levels there are.
  struct picardy_schedule schedule;
  // How to step between them.
  struct picardy_solver solver;
  // A `picardy_prediction`: what the network's output is.
  int32_t prediction;
  // How many steps.
  uint32_t steps;
} picardy_plan_spec;

// `weight` times what stands `back` nodes earlier; `back` 0 is no term.
typedef struct picardy_term {
  // The coefficient.
  double weight;
  // How many nodes back, at most 255.
  uint32_t back;
} picardy_term;

// One node of a plan, for tables in flash.
//
// x = sum states + sum outputs + noise z, and where `evaluated`, m = read_state x + read_output network(read_input x, t).
typedef struct picardy_node {
  // Where the state lives.
  struct picardy_level level;
  // What earlier states come to it with.
  struct picardy_term states[2];
  // What earlier outputs come to it with.
  struct picardy_term outputs[4];
  // What unit noise comes to it with; at the first node, what a unit start is multiplied by.
  double noise;
  // Not 0 where the network is evaluated.
  uint32_t evaluated;
  // The network is shown this times the state.
  double read_input;
  // The factor of the state in the output.
  double read_state;
  // The factor of what the network says.
  double read_output;
} picardy_node;

// What a plan is.
typedef struct picardy_plan_info {
  // Its nodes, the start first.
  size_t nodes;
  // How often a sequential run calls the network.
  size_t evaluations;
  // Rows of `dim` numbers that a sequential run takes for each item.
  size_t rows;
  // A `picardy_form`.
  int32_t form;
} picardy_plan_info;

// A sampler. Which fields count, its `kind` says.
typedef struct picardy_sampler {
  // A `picardy_sampler_kind`.
  int32_t kind;
  // Of Picard: a `picardy_slope`.
  int32_t slope;
  // Of Picard: the directions of `PICARDY_SLOPE_MULTISECANT`, 1 to 4.
  uint32_t directions;
  // Of Picard: where states still move far, every so many-th node is evaluated.
  uint32_t stride;
  // Of Picard: the most nodes that are open at a time; SIZE_MAX for the whole run.
  size_t window;
  // Of Picard: the most rows of a call, at least the batch; SIZE_MAX for no limit.
  size_t rows;
  // Of Picard: how far the sample may be from the sequential one, in standard deviations of the data; 0 runs to the exact end.
  double tolerance;
  // Of Picard: the variance of the data per coordinate.
  double data_variance;
} picardy_sampler;

// What is sampled: `batch` items of `dim` numbers.
typedef struct picardy_setup {
  // The plan.
  const struct picardy_plan *plan;
  // The sampler.
  struct picardy_sampler sampler;
  // The noise: the same seed, item and node give the same noise on every machine.
  uint64_t seed;
  // The first item's number: what makes a batch in parts equal the whole one.
  uint64_t first_item;
  // How many items.
  size_t batch;
  // The numbers of an item.
  size_t dim;
} picardy_setup;

// What a run takes and costs at most.
typedef struct picardy_need {
  // Its memory, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
  size_t bytes;
  // The most calls of the network.
  size_t rounds;
  // The most rows evaluated in all.
  size_t evaluations;
  // The most rows of one call.
  size_t rows;
} picardy_need;

// What one round (one call of the network) did.
typedef struct picardy_round {
  // The rounds so far, this one included.
  size_t rounds;
  // The rows this round evaluated.
  size_t rows;
  // The rows evaluated so far.
  size_t evaluations;
  // The nodes whose state is final, the least over the items.
  size_t done;
  // The plan's last node.
  size_t last;
  // Of Picard: the largest change of a state, in the unit of the tolerance.
  double residual;
  // Not 0 where every item has come to the end.
  int32_t finished;
} picardy_round;

// What a run cost.
typedef struct picardy_report {
  // Calls of the network.
  size_t rounds;
  // Rows evaluated in all.
  size_t evaluations;
  // The residual of the last round in which a state was open.
  double residual;
  // 0 where the run was stopped before its end.
  int32_t finished;
} picardy_report;

// Is shown every round, and returns 0 to stop the run there: at a deadline, say.
typedef int32_t (*picardy_watch)(void *context, const struct picardy_round *round);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Fits `count` held-out inputs' `profiles` [count, PICARDY_BANDS], at least 16, all of one network and one `picardy_likelihood_spec`.
int32_t picardy_typical_fit(const double *profiles,
                            size_t count,
                            struct picardy_typical *typical,
                            struct picardy_detail *detail);

// How far a `profile` `[PICARDY_BANDS]` is from what is usual, into `score`: the squared Mahalanobis distance, for a threshold that was
// calibrated on other inputs than those that were fitted. It finds inputs that are too likely, too.
int32_t picardy_typical_score(const struct picardy_typical *typical,
                              const double *profile,
                              double *score,
                              struct picardy_detail *detail);

// The threshold of `count` held-out `scores` (-log p(x), a typicality score: higher is odder), which are sorted. An input like them,
// which was not trained on, is an alarm at most at the `rate`, above 0 and below 1 (split conformal prediction, arXiv 1604.04173);
// that takes 1 / rate - 1 scores. Those scored later come from the same network and `picardy_likelihood_spec`.
int32_t picardy_threshold_calibrate(double *scores,
                                    size_t count,
                                    double rate,
                                    struct picardy_threshold *threshold,
                                    struct picardy_detail *detail);

// Not 0 where a score is an alarm. A NaN is one, and so is any score where the threshold was not calibrated (of no scores, or
// a value that is none).
int32_t picardy_is_alarm(struct picardy_threshold threshold,
                         double score);

// `log p(x)` of `items` inputs `x` [items, dim] with its standard error, into `out` `[items]` (arXiv 2302.03792, eq. 9): how likely an
// input is, in nats, in the network's coordinates (`picardy_network_normalize`). In the data's own units it is that minus the sum of
// ln data_scale over the coordinates (`picardy_network_log_scale`). At a `level` it is the density of alpha data + sigma noise,
// where `t` does not count; null is the data's own.
//
// `evaluations` evaluations an input. The error knows nothing of the network's own. After an error, what `out` holds is of no use.
int32_t picardy_log_density(struct picardy_likelihood *likelihood,
                            const struct picardy_denoiser *denoiser,
                            const struct picardy_level *level,
                            const float *x,
                            size_t items,
                            struct picardy_nats *out,
                            struct picardy_detail *detail);

// `log p_level(x) - log p(x)` of `items` inputs `x` [items, dim], in nats, with the difference's own standard error, into `out`
// `[items]` (arXiv 2407.08946): above 0 where an input looks more like data at the level's noise than like data. The level's `t`
// does not count here.
//
// Twice `evaluations` evaluations an input.
int32_t picardy_log_ratio(struct picardy_likelihood *likelihood,
                          const struct picardy_denoiser *denoiser,
                          const struct picardy_level *level,
                          const float *x,
                          size_t items,
                          struct picardy_nats *out,
                          struct picardy_detail *detail);

// The posterior over `count` noise levels of one input `x` `[dim]` that is data at one of them, into `out` `[count]`, which sums to 1:
// prior(level) p_level(x), over the sum of all. No noise is alpha 1, sigma 0; `t` does not count here. `prior` `[count]` is of
// numbers above 0, which need not sum to 1; null is an even one.
//
// `evaluations` evaluations a level, with the same draws.
int32_t picardy_posterior(struct picardy_likelihood *likelihood,
                          const struct picardy_denoiser *denoiser,
                          const struct picardy_level *levels,
                          const double *prior,
                          size_t count,
                          const float *x,
                          double *out,
                          struct picardy_detail *detail);

// The parts of `log p(x)` that bands of log-SNRs have, of `items` inputs `x` [items, dim], in nats, into `out`
// [items, PICARDY_BANDS], from low log-SNRs to high ones: what `picardy_typical_score` scores.
//
// `evaluations` evaluations an input.
int32_t picardy_profile(struct picardy_likelihood *likelihood,
                        const struct picardy_denoiser *denoiser,
                        const float *x,
                        size_t items,
                        double *out,
                        struct picardy_detail *detail);

// The text of a code: what happened, which values of `picardy_detail` say what, and what mends it. A static string, for
// every number.
const char *picardy_error_text(int32_t code);

// Moves the first `executed` actions of each item out of `x`, in place; the last one is repeated behind the rest.
int32_t picardy_chunk_shift(const struct picardy_chunk *chunk,
                            size_t executed,
                            float *x,
                            struct picardy_detail *detail);

// How far each number of the shifted chunks is held (real-time chunking, arXiv 2506.07339): `weights` become 1 for the first `delay`
// actions, which are executed before the new chunk is there, then less and less, and 0 for the last `executed`.
int32_t picardy_chunk_overlap(const struct picardy_chunk *chunk,
                              size_t delay,
                              size_t executed,
                              float *weights,
                              struct picardy_detail *detail);

// Writes the state of `data` at a noise level into `x`, alpha data + sigma noise, with the start's own noise of a run of that seed
// and first item: where a run over a plan's later nodes starts warm.
int32_t picardy_chunk_renoise(const struct picardy_chunk *chunk,
                              const struct picardy_level *level,
                              uint64_t seed,
                              uint64_t first_item,
                              const float *data,
                              float *x,
                              struct picardy_detail *detail);

// Brings each trajectory in `x` within its limits, in place: of a finished sample, or of what a callback returns where the network
// predicts the data.
int32_t picardy_limits_apply(const struct picardy_limits *limits,
                             const struct picardy_chunk *chunk,
                             float *x,
                             struct picardy_detail *detail);

// Settings for data of unit variance: the log-SNRs that arXiv 2407.08946 integrates over (logistic, loc 0, scale 3, clip 3), 256
// evaluations, 64 rows a call, seed 0, DDPM's betas, a network that predicts noise. A start for others: change what differs.
struct picardy_likelihood_spec picardy_likelihood_spec_logistic(size_t dim);

// The size of a likelihood of a spec, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
int32_t picardy_likelihood_size(const struct picardy_likelihood_spec *spec,
                                size_t *bytes,
                                struct picardy_detail *detail);

// Makes a likelihood in the caller's `memory`, of `picardy_likelihood_size` bytes; `likelihood` points into it then, and is null
// after an error. What was made in the memory before is gone, after an error too.
int32_t picardy_likelihood_make(const struct picardy_likelihood_spec *spec,
                                void *memory,
                                size_t bytes,
                                struct picardy_likelihood **likelihood,
                                struct picardy_detail *detail);

// The bytes that the network of an artifact's `length` bytes takes, at an alignment of `PICARDY_ALIGNMENT`: a header, and of all
// but residual MLPs without a condition a program. Where addresses are of 64 bits they are more than where they are of 32, so what a host says
// suffices for a microcontroller's static memory.
int32_t picardy_network_size(const void *bytes,
                             size_t length,
                             size_t *size,
                             struct picardy_detail *detail);

// Makes a network of an artifact's `length` bytes, which are checked and read in place, in the caller's `memory` of
// `picardy_network_size` bytes; `network` points into that then, and is null after an error. The bytes lie at a multiple of 4,
// and stay there as long as the network is used. What was made in the memory before is gone, after an error too.
//
// It is a residual MLP, a temporal U-Net or a U-Net for images, with or without a condition. An artifact of another maker, without a card, is
// taken for a residual MLP without a condition.
int32_t picardy_network_open(const void *bytes,
                             size_t length,
                             void *memory,
                             size_t memory_bytes,
                             const struct picardy_network **network,
                             struct picardy_detail *detail);

// What a network was trained for; `PICARDY_ERROR_CARD` where its artifact does not say, or names a process or an output that no
// `picardy_schedule` and `picardy_prediction` stand for (`pinned`, `edm`).
int32_t picardy_network_card(const struct picardy_network *network,
                             struct picardy_card *card,
                             struct picardy_detail *detail);

// The numbers of a state, of a network without a card too.
int32_t picardy_network_dim(const struct picardy_network *network, size_t *dim, struct picardy_detail *detail);

// The floats of scratch with which `rows` rows go through the network together: 1 suffices, and is all of use where items have
// conditions; more than 48 gain nothing.
int32_t picardy_network_scratch(const struct picardy_network *network,
                                size_t rows,
                                size_t *floats,
                                struct picardy_detail *detail);

// Takes `batch` samples to the data's own units.
int32_t picardy_network_restore(const struct picardy_network *network,
                                float *x,
                                size_t batch,
                                struct picardy_detail *detail);

// Takes `batch` items from the data's own units to the network's coordinates, `(x - data_mean) / data_scale`, where densities are asked
// about: the reverse of `picardy_network_restore`. What that changes a density by, `picardy_network_log_scale` says.
int32_t picardy_network_normalize(const struct picardy_network *network,
                                  float *x,
                                  size_t batch,
                                  struct picardy_detail *detail);

// The sum of `ln data_scale` over an item's coordinates, in nats: what a density in the network's coordinates is above the one in
// the data's own units, `log p_data(x) = log p(z) - sum_i ln data_scale_i` where z is x in the network's coordinates
// (`picardy_network_normalize`). The same for all inputs, so that neither ratios nor alarms need it; densities of networks of
// different units are compared with it.
int32_t picardy_network_log_scale(const struct picardy_network *network,
                                  double *nats,
                                  struct picardy_detail *detail);

// The size of a plan of a spec, in bytes, at an alignment of `PICARDY_ALIGNMENT`.
int32_t picardy_plan_size(const struct picardy_plan_spec *spec, size_t *bytes, struct picardy_detail *detail);

// Makes a plan in the caller's `memory`, of `picardy_plan_size` bytes; `plan` points into it then, and is null after an error.
// What was made in the memory before is gone, after an error too.
int32_t picardy_plan_make(const struct picardy_plan_spec *spec,
                          void *memory,
                          size_t bytes,
                          const struct picardy_plan **plan,
                          struct picardy_detail *detail);

// The size of a plan of a table of so many nodes, in bytes.
int32_t picardy_plan_table_size(size_t nodes, size_t *bytes, struct picardy_detail *detail);

// Makes a plan of a table of nodes (in flash, say) in the caller's `memory`, of `picardy_plan_table_size` bytes; `plan` points
// into it then, and is null after an error. `form` is a `picardy_form`. What was made in the memory before is gone, after an
// error too.
//
// The table is copied, and not used any more then: it saves the code of schedules and solvers, but no RAM. A plan whose nodes
// stay in flash there is in Rust (`Plan::new` of a `static`): the nodes of the two languages have different layouts.
int32_t picardy_plan_from_table(const struct picardy_node *nodes,
                                size_t count,
                                int32_t form,
                                void *memory,
                                size_t bytes,
                                const struct picardy_plan **plan,
                                struct picardy_detail *detail);

// What a plan is.
int32_t picardy_plan_about(const struct picardy_plan *plan,
                           struct picardy_plan_info *info,
                           struct picardy_detail *detail);

// Node `index` of a plan: what a program on the host writes a table from.
int32_t picardy_plan_node(const struct picardy_plan *plan,
                          size_t index,
                          struct picardy_node *node,
                          struct picardy_detail *detail);

// What a run of this setup takes and costs at most.
int32_t picardy_run_need(const struct picardy_setup *setup, struct picardy_need *need, struct picardy_detail *detail);

// Writes the noise that a run starts from into `x` ([batch, dim]).
int32_t picardy_start(const struct picardy_setup *setup, float *x, struct picardy_detail *detail);

// Begins a run in the caller's `memory`, of `picardy_need.bytes`; `run` points into it then, and is null after an error. `x`
// ([batch, dim]) holds the start, and is not used any more then. The plan stays as it is as long as the run is used. What was
// made in the memory before is gone, after an error too.
int32_t picardy_run_begin(const struct picardy_setup *setup,
                          const float *x,
                          void *memory,
                          size_t bytes,
                          struct picardy_run **run,
                          struct picardy_detail *detail);

// One node after the other.
struct picardy_sampler picardy_sampler_sequential(void);

// Picard iteration with the settings that serve most: the whole run open, secant slopes, tolerance 0.01.
struct picardy_sampler picardy_sampler_picard(void);

// Linear betas over `train_steps` timesteps (DDPM's are 1000, 1e-4, 2e-2), trailing, to no noise. A start for others: change
// what differs.
struct picardy_schedule picardy_schedule_linear(uint32_t train_steps,
                                                double beta_start,
                                                double beta_end);

// DDIM of 10 steps, without noise, over DDPM's betas, for a network that predicts noise. A start for others: change what
// differs.
struct picardy_plan_spec picardy_plan_spec_ddim(void);

// One round: one call of the denoiser, and what follows from it. At the end it does nothing, and `round->finished` stays set.
// After an error the run is as it was before, and the round can be asked for again; after `PICARDY_ERROR_OVERFLOW` alone it has
// ended, without a sample.
int32_t picardy_run_round(struct picardy_run *run,
                          const struct picardy_denoiser *denoiser,
                          struct picardy_round *round,
                          struct picardy_detail *detail);

// Writes the best state so far into `x` ([batch, dim]): the samples, and of items that are not done the newest estimate of the data.
// The run can go on, and ends as it would have.
int32_t picardy_run_best(struct picardy_run *run,
                         float *x,
                         struct picardy_detail *detail);

// Writes the best state so far into `x`, as `picardy_run_best` does, and what the run cost; the run's memory is the caller's again.
int32_t picardy_run_finish(struct picardy_run *run,
                           float *x,
                           struct picardy_report *report,
                           struct picardy_detail *detail);

// Samples in one call: `x` ([batch, dim]) holds the start (`picardy_start`) and gets the samples. `memory` is of `picardy_need.bytes`.
// `keep_going` may be null; where it stops the run, `x` gets the best state so far. After an error `x` holds the start.
int32_t picardy_sample(const struct picardy_setup *setup,
                       const struct picardy_denoiser *denoiser,
                       picardy_watch keep_going,
                       void *context,
                       void *memory,
                       size_t bytes,
                       float *x,
                       struct picardy_report *report,
                       struct picardy_detail *detail);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PICARDY_H */
