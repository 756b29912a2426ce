// Samples in C++: the same runs as main.c's, with a callable for a network and a deadline that is a lambda.

#include <cmath>
#include <cstdio>
#include <picardy.hpp>

extern "C" const unsigned char model[], model_end[];

namespace {

constexpr std::size_t batch = 2, dim = 2;

alignas(picardy::alignment) unsigned char plan_memory[PICARDY_PLAN_BYTES(10)];
alignas(picardy::alignment) unsigned char network_memory[PICARDY_NETWORK_BYTES];
alignas(picardy::alignment) unsigned char run_memory[16384];
float scratch[4096];

int fail(const char *what, const picardy::Error &error) {
    std::printf("%s: error %d: %s\n", what, static_cast<int>(error.code()), error.text());
    return 1;
}

void show(const char *name, picardy::Span<const float> x) {
    for (std::size_t i = 0; i < batch; i++) {
        auto item = x.row(i, dim);
        std::printf("sample %s %zu %.7f %.7f\n", name, i, static_cast<double>(item[0]), static_cast<double>(item[1]));
    }
}

int sample(const char *name, const picardy::Spec &spec, const picardy_sampler &sampler, const picardy_denoiser &denoiser,
           std::size_t most_rounds) {
    picardy::Plan plan;
    if (auto error = picardy::make_plan(spec, plan_memory, plan)) return fail("plan", error);
    picardy::Setup setup{plan, sampler, 7, batch, dim};
    float x[batch * dim];
    if (auto error = setup.start(x)) return fail("start", error);
    auto in_time = [most_rounds](const picardy_round &round) { return round.rounds < most_rounds; };
    if (auto error = setup.sample(denoiser, run_memory, x, in_time)) return fail(name, error);
    show(name, {x, batch * dim});
    return 0;
}

}  // namespace

int main() {
    picardy::Network network;
    picardy_card card;
    picardy::Span<const unsigned char> bytes{model, static_cast<std::size_t>(model_end - model)};
    if (auto error = picardy::Network::open(bytes, network_memory, network)) return fail("model", error);
    if (auto error = network.card(card)) return fail("card", error);
    const auto trained = network.denoiser(scratch);

    // The exact noise for data of two Gaussians, at (-1, -1) and (1, 1), of standard deviation 0.1.
    auto two_points = [](picardy::Rows rows, picardy::Span<const float> x, picardy::Span<float> out) {
        for (std::size_t i = 0; i < rows.size(); i++) {
            double a = rows[i].alpha, s = rows[i].sigma, variance = a * a * 0.01 + s * s, sum = 0;
            for (float x : x.row(i, dim)) sum += x;
            double mean = std::tanh(a * sum / variance);
            for (std::size_t j = 0; j < dim; j++) {
                out.row(i, dim)[j] = static_cast<float>(s * (x.row(i, dim)[j] - a * mean) / variance);
            }
        }
        return 0;
    };
    const auto exact = picardy::denoiser(two_points);

    using picardy::Solver;
    auto spec = [&card](Solver solver) { return picardy::Spec().trained_as(card).with_solver(solver); };
    auto picard = picardy::picard();
    picard.data_variance = card.data_variance;
    const auto sequential = picardy::sequential();
    return sample("ddim", spec(Solver::ddim), sequential, trained, 100) ||
           sample("dpmpp2m", spec(Solver::dpmpp), sequential, trained, 100) ||
           sample("ddpm", spec(Solver::ddpm), sequential, trained, 100) ||
           sample("picard", spec(Solver::ddpm), picard, trained, 100) ||
           sample("stopped", spec(Solver::ddim), sequential, trained, 3) ||
           sample("exact", picardy::Spec(), sequential, exact, 100) ||
           sample("exact-picard", picardy::Spec(), picard, exact, 100);
}
