// What picardy.hpp takes for a network and for a deadline, and what it says of buffers that are too small; tests/c.sh runs it.

#include <cstdio>
#include <cstring>
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
int failures = 0;

void expect(bool holds, const char *what) {
    if (!holds) {
        std::printf("not so: %s\n", what);
        failures++;
    }
}

}  // namespace

int main() {
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
    return failures != 0;
}
