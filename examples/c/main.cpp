// Samples in C++: the same runs and densities as main.c's, with a callable for a network and a deadline that is a lambda.

#include <cmath>
#include <cstdio>
#include <picardy.hpp>

extern "C" const unsigned char model[], model_end[];

namespace {

constexpr std::size_t batch = 2, dim = 2;

alignas(picardy::alignment) unsigned char plan_memory[PICARDY_PLAN_BYTES(10)];
alignas(picardy::alignment) unsigned char network_memory[PICARDY_NETWORK_BYTES];
alignas(picardy::alignment) unsigned char run_memory[16384];
alignas(picardy::alignment) unsigned char likelihood_memory[PICARDY_LIKELIHOOD_BYTES(16, dim, 1000)];
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

// How likely two inputs are, and how noisy: the second is far off.
int classify(const picardy::Network &network, const picardy_card &card, const picardy_denoiser &denoiser) {
    auto spec = picardy::LikelihoodSpec(dim).trained_as(card).with_evaluations(32).with_rows(16).with_seed(7);
    picardy::Likelihood likelihood;
    if (auto error = picardy::Likelihood::make(spec, likelihood_memory, likelihood)) return fail("likelihood", error);
    // In the data's units, and in the network's, where densities are.
    float x[] = {50, 60, 70, 110};
    if (auto error = network.normalize(x, batch)) return fail("units", error);
    const picardy::Level noisy{0.8, 0.6, 0}, levels[] = {{1, 0, 0}, noisy};
    picardy::Nats density[batch], ratio[batch];
    double posterior[2];
    if (auto error = likelihood.log_density(denoiser, x, density)) return fail("density", error);
    if (auto error = likelihood.log_ratio(denoiser, noisy, x, ratio)) return fail("ratio", error);
    if (auto error = likelihood.posterior(denoiser, levels, {}, {x, dim}, posterior)) return fail("posterior", error);
    for (std::size_t i = 0; i < batch; i++) {
        std::printf("sample density %zu %.7f %.7f\n", i, density[i].value, density[i].standard_error);
        std::printf("sample ratio %zu %.7f %.7f\n", i, ratio[i].value, ratio[i].standard_error);
    }
    std::printf("sample posterior 0 %.7f %.7f\n", posterior[0], posterior[1]);
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
           sample("exact-picard", picardy::Spec(), picard, exact, 100) || classify(network, card, trained);
}
