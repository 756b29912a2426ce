// Samples in C as firmware does it: every buffer static, the artifact read where it lies, no heap.
//
// The same program runs on the host and on a Cortex-M4F under QEMU; tests/c.sh builds and compares both.

#include <math.h>
#include <picardy.h>
#include <stdio.h>

enum { STEPS = 10, BATCH = 2, DIM = 2, MOST_STATES = 1024 };

extern const unsigned char model[], model_end[];

static _Alignas(PICARDY_ALIGNMENT) unsigned char plan_memory[PICARDY_PLAN_BYTES(STEPS)];
static _Alignas(PICARDY_ALIGNMENT) unsigned char network_memory[PICARDY_NETWORK_BYTES];
static _Alignas(PICARDY_ALIGNMENT) unsigned char run_memory[16384];
static float scratch[4096];

static int fail(const char *what, const picardy_detail *detail) {
    printf("%s: error %d: %s\n", what, (int)detail->code, picardy_error_text(detail->code));
    printf("  needed %lu, given %lu, index %lu, value %g, name %s\n", (unsigned long)detail->needed,
           (unsigned long)detail->given, (unsigned long)detail->index, detail->value, detail->name);
    return 1;
}

static void show(const char *name, const float *x) {
    for (int i = 0; i < BATCH; i++) {
        printf("sample %s %d %.7f %.7f\n", name, i, (double)x[DIM * i], (double)x[DIM * i + 1]);
    }
}

// A network of one's own: the exact noise for data of two Gaussians, at (-1, -1) and (1, 1), of standard deviation 0.1.
static int32_t two_points(void *context, const picardy_row *rows, size_t count, size_t dim, const float *x, float *out) {
    (void)context;
    for (size_t i = 0; i < count; i++, x += dim, out += dim) {
        double a = rows[i].alpha, s = rows[i].sigma, variance = a * a * 0.01 + s * s, sum = 0;
        for (size_t j = 0; j < dim; j++) {
            sum += x[j];
        }
        double mean = tanh(a * sum / variance);
        for (size_t j = 0; j < dim; j++) {
            out[j] = (float)(s * (x[j] - a * mean) / variance);
        }
    }
    return 0;
}

// A control loop's budget: so many rounds. On a robot, a clock.
static int32_t three_rounds(void *context, const picardy_round *round) {
    (void)context;
    return round->rounds < 3;
}

// One call: a plan, its memory, the start, the samples.
static int sample(const char *name, const picardy_plan_spec *spec, picardy_sampler sampler,
                  const picardy_denoiser *denoiser, picardy_watch keep_going) {
    picardy_detail detail;
    picardy_need need;
    picardy_report report;
    float x[BATCH * DIM];
    const picardy_plan *plan;
    if (picardy_plan_make(spec, plan_memory, sizeof plan_memory, &plan, &detail)) {
        return fail("plan", &detail);
    }
    picardy_setup setup = {plan, sampler, 7, 0, BATCH, DIM};
    if (picardy_run_need(&setup, &need, &detail) || picardy_start(&setup, x, &detail) ||
        picardy_sample(&setup, denoiser, keep_going, NULL, run_memory, sizeof run_memory, x, &report, &detail)) {
        return fail(name, &detail);
    }
    show(name, x);
    printf("cost %s %lu of %lu rounds, %lu of %lu evaluations, %lu bytes%s\n", name, (unsigned long)report.rounds,
           (unsigned long)need.rounds, (unsigned long)report.evaluations, (unsigned long)need.evaluations,
           (unsigned long)need.bytes, report.finished ? "" : ", stopped");
    return report.rounds > need.rounds || report.evaluations > need.evaluations;
}

// Round by round, as a control loop does: the best state so far is there after each.
static int step(const picardy_plan_spec *spec, const picardy_denoiser *denoiser) {
    picardy_detail detail;
    picardy_round round;
    picardy_report report;
    picardy_run *run;
    float x[BATCH * DIM];
    const picardy_plan *plan;
    if (picardy_plan_make(spec, plan_memory, sizeof plan_memory, &plan, &detail)) {
        return fail("plan", &detail);
    }
    picardy_setup setup = {plan, picardy_sampler_sequential(), 7, 0, BATCH, DIM};
    if (picardy_start(&setup, x, &detail) ||
        picardy_run_begin(&setup, x, run_memory, sizeof run_memory, &run, &detail)) {
        return fail("begin", &detail);
    }
    do {
        if (picardy_run_round(run, denoiser, &round, &detail) || picardy_run_best(run, x, &detail)) {
            return fail("round", &detail);
        }
        if (round.rounds == 3) {
            show("best-after-3", x);
        }
    } while (!round.finished);
    if (picardy_run_finish(run, x, &report, &detail)) {
        return fail("finish", &detail);
    }
    show("stepped", x);
    return 0;
}

// Between two plans of a robot: what was executed is shifted out, the rest is held less and less and is where the next run starts
// warm; a plan is brought within what the robot can do, from how it moves.
static int receding(void) {
    picardy_detail detail;
    const picardy_chunk chunk = {.batch = 1, .places = BATCH, .channels = DIM};
    const picardy_level level = {.alpha = 0.6, .sigma = 0.8, .t = 40.0};
    const float position[DIM] = {0.0f, 0.0f}, moving[DIM] = {0.1f, 0.0f};
    const picardy_limits limits = {.velocity = 0.4, .acceleration = 0.3, .position = position, .moving = moving};
    float x[BATCH * DIM], weights[BATCH * DIM], warm[BATCH * DIM];
    for (int i = 0; i < BATCH * DIM; i++) {
        x[i] = 0.5f * (float)i - 0.25f;
    }
    if (picardy_chunk_shift(&chunk, 1, x, &detail) || picardy_chunk_overlap(&chunk, 0, 1, weights, &detail) ||
        picardy_chunk_renoise(&chunk, &level, 7, 0, x, warm, &detail) ||
        picardy_limits_apply(&limits, &chunk, x, &detail)) {
        return fail("receding", &detail);
    }
    show("held", weights);
    show("warm", warm);
    show("limited", x);
    return 0;
}

int main(void) {
    picardy_detail detail;
    const picardy_network *network;
    picardy_card card;
    if (picardy_network_open(model, (size_t)(model_end - model), network_memory, sizeof network_memory, &network,
                             &detail) ||
        picardy_network_card(network, &card, &detail)) {
        return fail("model", &detail);
    }
    const picardy_denoiser trained = {.network = network, .scratch = scratch,
                                      .scratch_floats = sizeof scratch / sizeof *scratch};
    const picardy_denoiser exact = {.evaluate = two_points};

    picardy_plan_spec ddim = picardy_plan_spec_ddim();
    ddim.steps = STEPS;
    ddim.schedule = card.schedule;
    ddim.prediction = card.prediction;
    picardy_plan_spec dpm = ddim, ddpm = ddim, own = picardy_plan_spec_ddim();
    dpm.solver.kind = PICARDY_SOLVER_DPMPP;
    ddpm.solver.kind = PICARDY_SOLVER_DDPM;
    const picardy_sampler sequential = picardy_sampler_sequential();
    picardy_sampler picard = picardy_sampler_picard();
    picard.data_variance = card.data_variance;

    return sample("ddim", &ddim, sequential, &trained, NULL) || sample("dpmpp2m", &dpm, sequential, &trained, NULL) ||
           sample("ddpm", &ddpm, sequential, &trained, NULL) || sample("picard", &ddpm, picard, &trained, NULL) ||
           sample("stopped", &ddim, sequential, &trained, three_rounds) || sample("exact", &own, sequential, &exact, NULL) ||
           sample("exact-picard", &own, picard, &exact, NULL) || step(&ddim, &trained) ||
           receding();
}
