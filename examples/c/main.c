// Samples in C as firmware does it, and tells odd inputs: every buffer static, the artifact read where it lies, no heap.
//
// The same program runs on the host and on a Cortex-M4F under QEMU; tests/c.sh builds and compares both.

#include <math.h>
#include <picardy.h>
#include <stdio.h>

enum { STEPS = 10, BATCH = 2, DIM = 2, MOST_STATES = 1024, ROWS = 16, TIMESTEPS = 1000, HELD_OUT = 16 };

extern const unsigned char model[], model_end[];

static _Alignas(PICARDY_ALIGNMENT) unsigned char plan_memory[PICARDY_PLAN_BYTES(STEPS)];
static _Alignas(PICARDY_ALIGNMENT) unsigned char network_memory[PICARDY_NETWORK_BYTES];
static _Alignas(PICARDY_ALIGNMENT) unsigned char run_memory[16384];
static _Alignas(PICARDY_ALIGNMENT) unsigned char likelihood_memory[PICARDY_LIKELIHOOD_BYTES(ROWS, DIM, TIMESTEPS)];
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

static void show_nats(const char *name, const picardy_nats *nats) {
    for (int i = 0; i < BATCH; i++) {
        printf("sample %s %d %.7f %.7f\n", name, i, nats[i].value, nats[i].standard_error);
    }
}

// How likely two inputs are, how noisy, and whether they are alarms: the second is far off.
static int classify(const picardy_network *network, const picardy_card *card, const picardy_denoiser *denoiser) {
    picardy_detail detail;
    picardy_likelihood *likelihood;
    picardy_likelihood_spec spec = picardy_likelihood_spec_logistic(DIM);
    spec.schedule = card->schedule;
    spec.prediction = card->prediction;
    spec.variance = card->data_variance;
    spec.evaluations = 32;
    spec.rows = ROWS;
    spec.seed = 7;
    if (picardy_likelihood_make(&spec, likelihood_memory, sizeof likelihood_memory, &likelihood, &detail)) {
        return fail("likelihood", &detail);
    }
    // In the data's units, and in the network's, where densities are.
    float x[BATCH * DIM] = {50.0f, 60.0f, 70.0f, 110.0f};
    // A level without a t: the spec's schedule says what the network is told.
    const picardy_level noisy = {.alpha = 0.8, .sigma = 0.6}, levels[2] = {{.alpha = 1.0}, noisy};
    picardy_nats density[BATCH], ratio[BATCH];
    double posterior[2];
    if (picardy_network_normalize(network, x, BATCH, &detail) ||
        picardy_log_density(likelihood, denoiser, NULL, x, BATCH, density, &detail) ||
        picardy_log_ratio(likelihood, denoiser, &noisy, x, BATCH, ratio, &detail) ||
        picardy_posterior(likelihood, denoiser, levels, NULL, 2, x, posterior, &detail)) {
        return fail("density", &detail);
    }
    show_nats("density", density);
    show_nats("ratio", ratio);
    printf("sample posterior 0 %.7f %.7f\n", posterior[0], posterior[1]);

    // Held-out inputs say what is usual, others what is an alarm; both come from a file or from flash on a robot, as plain numbers. They
    // hold for this network and this spec alone, its seed too.
    static double profiles[2 * HELD_OUT][PICARDY_BANDS], odd[BATCH][PICARDY_BANDS];
    static float held_out[2 * HELD_OUT * DIM];
    static picardy_typical typical;
    double scores[HELD_OUT], score[BATCH];
    picardy_threshold threshold;
    for (int i = 0; i < 2 * HELD_OUT * DIM; i++) {
        held_out[i] = (float)(i * 37 % 64) / 32.0f - 1.0f;
    }
    if (picardy_profile(likelihood, denoiser, held_out, 2 * HELD_OUT, profiles[0], &detail) ||
        picardy_typical_fit(profiles[0], HELD_OUT, &typical, &detail)) {
        return fail("typical", &detail);
    }
    for (int i = 0; i < HELD_OUT; i++) {
        if (picardy_typical_score(&typical, profiles[HELD_OUT + i], &scores[i], &detail)) {
            return fail("score", &detail);
        }
    }
    if (picardy_threshold_calibrate(scores, HELD_OUT, 0.1, &threshold, &detail) ||
        picardy_profile(likelihood, denoiser, x, BATCH, odd[0], &detail)) {
        return fail("threshold", &detail);
    }
    for (int i = 0; i < BATCH; i++) {
        if (picardy_typical_score(&typical, odd[i], &score[i], &detail)) {
            return fail("score", &detail);
        }
        printf("sample alarm %d %.7f %.7f\n", i, picardy_is_alarm(threshold, score[i]) ? 1.0 : 0.0,
               threshold.value / score[i]);
    }
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
           receding() || classify(network, &card, &trained);
}
