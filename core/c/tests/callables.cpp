// What picardy.hpp takes for a network and for a deadline, and what it says of buffers that are too small; tests/c.sh runs it with the
// file of a network that is told an observation (examples/firmware/data/navigate.safetensors).

#include <cmath>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <picardy.hpp>

namespace {

using Numbers = picardy::Span<const float>;

int half(picardy::Rows, Numbers x, picardy::Span<float> out) {
    for (std::size_t i = 0; i < x.size(); i++) out[i] = 0.5f * x[i];
    return 0;
}

bool two_rounds(const picardy_round &round) { return round.rounds < 2; }

struct Counting {
    int calls = 0;
    int operator()(picardy::Rows rows, Numbers x, picardy::Span<float> out) {
        calls++;
        return half(rows, x, out);
    }
};

alignas(picardy::alignment) unsigned char plan_memory[PICARDY_PLAN_BYTES(10)];
alignas(picardy::alignment) unsigned char run_memory[PICARDY_SEQUENTIAL_BYTES(2, 1, 2)];
alignas(picardy::alignment) unsigned char likelihood_memory[PICARDY_LIKELIHOOD_BYTES(8, 2, 1000)];
int failures = 0;

void expect(bool holds, const char *what) {
    if (!holds) {
        std::printf("not so: %s\n", what);
        failures++;
    }
}

// A network of the file plans from what it is told.
void told(const char *path) {
    alignas(picardy::alignment) static unsigned char file[1 << 18], network_memory[1 << 15];
    alignas(picardy::alignment) static unsigned char navigate_memory[PICARDY_SEQUENTIAL_BYTES(2, 2, 32)];
    static float scratch[1 << 14], seen[2 * 53], x[2 * 32], again[2 * 32];
    std::FILE *stream = std::fopen(path, "rb");
    const std::size_t length = stream ? std::fread(file, 1, sizeof file, stream) : 0;
    expect(stream && length > 0, "a file");
    if (stream) std::fclose(stream);
    const picardy::Span<const unsigned char> artifact{file, length};
    std::size_t bytes = 0;
    picardy::Network network;
    picardy_card card{};
    expect(!picardy::Network::size(artifact, bytes) && bytes <= sizeof network_memory, "the size of a network");
    expect(picardy::Network::open(artifact, {network_memory, bytes - 1}, network).code() == PICARDY_ERROR_MEMORY, "no byte less");
    expect(!picardy::Network::open(artifact, {network_memory, bytes}, network) && !network.card(card), "a network");
    expect(card.condition == 53 && card.shape[0] == 1 && card.shape[1] == 16 && card.shape[2] == 2, "its sizes");
    picardy::Plan plan;
    expect(!picardy::make_plan(picardy::Spec().trained_as(card), plan_memory, plan), "its plan");
    picardy::Setup setup{plan, picardy::sequential(), 7, 2, card.dim};
    for (std::size_t i = 0; i < sizeof seen / sizeof *seen; i++) seen[i] = static_cast<float>(i % 13) / 13.0f;
    expect(!setup.start(x) && !setup.sample(network.denoiser(scratch, seen), navigate_memory, x), "plans of observations");
    picardy_denoiser same{};
    same.network = network.denoiser(scratch).network;
    same.scratch = scratch, same.scratch_floats = sizeof scratch / sizeof *scratch;
    same.conditions = seen, same.condition_floats = sizeof seen / sizeof *seen;
    expect(!setup.start(again) && !setup.sample(same, navigate_memory, again) && std::memcmp(x, again, sizeof x) == 0,
           "those of C");
    expect(!setup.start(x), "a start");
    expect(setup.sample(network.denoiser(scratch), navigate_memory, x).code() == PICARDY_ERROR_NO_CONDITION, "no observation");
    auto error = setup.sample(network.denoiser(scratch, {seen, 53}), navigate_memory, x);
    expect(error.code() == PICARDY_ERROR_CONDITION && error.detail().needed == 106 && error.detail().given == 53,
           "one observation of two");
}

}  // namespace

// What does not fit is no array, rather than one that is too small.
static_assert(PICARDY_LIKELIHOOD_BYTES(SIZE_MAX, 2, 1000) == SIZE_MAX, "no limit is no size");
static_assert(PICARDY_LIKELIHOOD_BYTES(64, 2, 1000) < 32768, "a size");

int main(int count, char **arguments) {
    expect(count == 2, "a network's file");
    if (count == 2) told(arguments[1]);
    picardy::Plan plan;
    expect(!picardy::make_plan({}, plan_memory, plan), "a plan");
    picardy::Setup setup{plan, picardy::sequential(), 7, 1, 2};
    picardy_report report;
    float expected[2];
    auto lambda = [](picardy::Rows rows, Numbers x, picardy::Span<float> out) { return half(rows, x, out); };
    const auto fixed = lambda;
    Counting counting;
    auto pointer = &half;
    const picardy_denoiser denoisers[] = {picardy::denoiser(half), picardy::denoiser(pointer), picardy::denoiser(lambda),
                                          picardy::denoiser(fixed), picardy::denoiser(counting)};
    for (const auto &denoiser : denoisers) {
        float x[2];
        expect(!setup.start(x) && !setup.sample(denoiser, run_memory, x, &report), "samples of every callable");
        if (&denoiser == denoisers) std::memcpy(expected, x, sizeof x);
        expect(std::memcmp(x, expected, sizeof x) == 0 && report.rounds == 10, "the same samples");
    }
    expect(counting.calls == 10, "a callable by reference");

    const auto always = [](const picardy_round &) { return true; };
    unsigned rounds = 0;
    float x[2];
    expect(!setup.start(x) && !setup.sample(denoisers[0], run_memory, x, always, &report) && report.rounds == 10, "const");
    expect(!setup.start(x) && !setup.sample(denoisers[0], run_memory, x, two_rounds, &report) && report.rounds == 2, "function");
    expect(!setup.start(x) &&
               !setup.sample(denoisers[0], run_memory, x, [&rounds](const picardy_round &) { return ++rounds < 3; }, &report) &&
               report.rounds == 3,
           "a temporary");
    expect(!setup.start(x) && !setup.sample(denoisers[0], run_memory, x), "no deadline");

    setup.batch = 3;
    auto error = setup.start(x);
    expect(error.code() == PICARDY_ERROR_MEMORY && error.detail().needed == 24 && error.detail().given == 8 &&
               std::strcmp(error.detail().name, "x") == 0,
           "values of a buffer that is too small");

    picardy::Likelihood likelihood;
    auto spec = picardy::LikelihoodSpec(2).with_evaluations(32).with_rows(8).with_seed(3);
    std::size_t bytes = 0;
    expect(!picardy::likelihood_size(spec, bytes) && bytes <= sizeof likelihood_memory, "the macro's bytes suffice");
    expect(!picardy::Likelihood::make(spec, likelihood_memory, likelihood), "a likelihood");
    // Of unit data eps is sigma x: a plain Gaussian, whose densities are known.
    auto gaussian = [](picardy::Rows rows, Numbers x, picardy::Span<float> out) {
        for (std::size_t i = 0; i < x.size(); i++) out[i] = rows[i / 2].sigma * x[i];
        return 0;
    };
    const auto denoiser = picardy::denoiser(gaussian);
    const float inputs[] = {0.0f, 0.0f, 1.0f, -1.0f};
    const Numbers all{inputs}, one{inputs, 2}, part{inputs, 3};
    picardy::Nats nats[2];
    const double pi = 3.14159265358979;
    expect(!likelihood.log_density(denoiser, all, nats), "densities");
    expect(std::fabs(nats[0].value + std::log(2 * pi)) < 0.1 && std::fabs(nats[1].value + 1 + std::log(2 * pi)) < 0.2,
           "the densities of a Gaussian");
    const picardy::Level levels[] = {{1, 0, 0}, {0.6, 0.8, 0}, {1, 2, 0}};
    double posterior[3], even[3];
    expect(!likelihood.log_ratio(denoiser, levels[1], all, nats) && std::fabs(nats[0].value) < 0.1, "unit data stay unit data");
    expect(!likelihood.log_density(denoiser, all, nats, &levels[2]) &&
               std::fabs(nats[0].value + std::log(2 * pi * 5)) < 0.1,
           "noise of 2 upon them widens them");
    const double prior[] = {1, 3, 1};
    expect(!likelihood.posterior(denoiser, levels, {}, one, even) && !likelihood.posterior(denoiser, levels, prior, one, posterior) &&
               std::fabs(posterior[1] / posterior[0] - 3 * even[1] / even[0]) < 1e-9,
           "a prior");
    double profile[2 * PICARDY_BANDS];
    expect(!likelihood.profile(denoiser, all, profile), "profiles");
    for (auto &error : {likelihood.log_density(denoiser, part, nats), likelihood.profile(denoiser, part, profile),
                        likelihood.posterior(denoiser, levels, {}, {inputs, 1}, even)}) {
        expect(error.code() == PICARDY_ERROR_MEMORY && std::strcmp(error.detail().name, "x") == 0, "inputs are whole");
    }
    for (auto &error : {likelihood.log_density(denoiser, all, {nats, 1}), likelihood.profile(denoiser, all, {profile, 15}),
                        likelihood.posterior(denoiser, levels, {}, one, {even, 2})}) {
        expect(error.code() == PICARDY_ERROR_MEMORY && std::strcmp(error.detail().name, "out") == 0, "room for all results");
    }
    expect(likelihood.posterior(denoiser, levels, {prior, 2}, one, even).code() == PICARDY_ERROR_MEMORY, "a prior of all levels");

    double usual[20 * PICARDY_BANDS];
    for (int i = 0; i < 20 * PICARDY_BANDS; i++) usual[i] = (i * 37 % 64) / 32.0;
    picardy::Typical typical;
    expect(!picardy::fit(usual, typical), "what is usual");
    const auto cut = picardy::fit({usual, 20 * PICARDY_BANDS - 1}, typical);
    expect(cut.code() == PICARDY_ERROR_MEMORY && std::strcmp(cut.detail().name, "profiles") == 0 &&
               cut.detail().needed == sizeof usual && cut.detail().given == sizeof usual - sizeof(double),
           "profiles are whole");

    double scores[19];
    for (int i = 0; i < 19; i++) scores[i] = 18 - i;
    picardy::Threshold threshold;
    expect(!picardy::calibrate(scores, 0.1, threshold) && threshold.value == 17 && picardy::is_alarm(threshold, 17.5) &&
               !picardy::is_alarm(threshold, 17),
           "a threshold");
    return failures != 0;
}
