// Picardy for C++17: picardy.h with spans, enum classes and a denoiser that is any callable. No exceptions, no RTTI, nothing owned.
//
//     alignas(picardy::alignment) static unsigned char plan_memory[PICARDY_PLAN_BYTES(10)], run_memory[4096];
//     picardy::Plan plan;
//     if (auto error = picardy::make_plan({}, plan_memory, plan)) { puts(error.text()); return 1; }
//     picardy::Setup setup{plan, picardy::sequential(), /* seed */ 7, /* batch */ 1, /* dim */ 2};
//     float x[2];
//     auto denoiser = picardy::denoiser(my_network);  // int(Rows, Span<const float> x, Span<float> out)
//     if (auto error = setup.start(x)) { ... }
//     if (auto error = setup.sample(denoiser, run_memory, x)) { ... }

#ifndef PICARDY_HPP
#define PICARDY_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "picardy.h"

namespace picardy {

inline constexpr std::size_t alignment = PICARDY_ALIGNMENT;

enum class Prediction : std::int32_t {
    epsilon = PICARDY_PREDICTION_EPSILON,
    sample = PICARDY_PREDICTION_SAMPLE,
    v = PICARDY_PREDICTION_V,
    flow = PICARDY_PREDICTION_FLOW,
};

enum class Solver : std::int32_t {
    ddim = PICARDY_SOLVER_DDIM,
    ddpm = PICARDY_SOLVER_DDPM,
    dpmpp = PICARDY_SOLVER_DPMPP,
    dpmpp_sde = PICARDY_SOLVER_DPMPP_SDE,
    dpmpp_single = PICARDY_SOLVER_DPMPP_SINGLE,
    unipc = PICARDY_SOLVER_UNIPC,
    deis = PICARDY_SOLVER_DEIS,
    lms = PICARDY_SOLVER_LMS,
    euler = PICARDY_SOLVER_EULER,
    euler_ancestral = PICARDY_SOLVER_EULER_ANCESTRAL,
    heun = PICARDY_SOLVER_HEUN,
    flow_euler = PICARDY_SOLVER_FLOW_EULER,
    flow_heun = PICARDY_SOLVER_FLOW_HEUN,
    lcm = PICARDY_SOLVER_LCM,
};

// Elements somewhere else, and how many.
template <class T>
class Span {
  public:
    constexpr Span() = default;
    constexpr Span(T *data, std::size_t size) : data_(data), size_(size) {}
    template <std::size_t N>
    constexpr Span(T (&array)[N]) : data_(array), size_(N) {}
    // std::array, std::vector, std::span, ...
    template <class C, class = decltype(static_cast<T *>(static_cast<C *>(nullptr)->data()))>
    constexpr Span(C &container) : data_(container.data()), size_(container.size()) {}

    constexpr T *data() const { return data_; }
    constexpr std::size_t size() const { return size_; }
    constexpr T &operator[](std::size_t i) const { return data_[i]; }
    constexpr T *begin() const { return data_; }
    constexpr T *end() const { return data_ + size_; }
    // Row i of rows of `width`.
    constexpr Span row(std::size_t i, std::size_t width) const { return {data_ + i * width, width}; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

namespace detail {
// A callable as a callback's context: it is given back as what it was, const or not.
template <class F>
void *address(F &callable) {
    return const_cast<void *>(static_cast<const void *>(std::addressof(callable)));
}
}  // namespace detail

using Memory = Span<unsigned char>;
using Rows = Span<const picardy_row>;

// What went wrong: true where something did.
class [[nodiscard]] Error {
  public:
    Error() = default;
    // A buffer that is too small.
    static Error too_small(const char *name, std::size_t needed, std::size_t given) {
        Error error;
        error.detail_.code = PICARDY_ERROR_MEMORY;
        error.detail_.needed = needed;
        error.detail_.given = given;
        for (std::size_t i = 0; i + 1 < sizeof error.detail_.name && name[i]; i++) error.detail_.name[i] = name[i];
        return error;
    }
    explicit operator bool() const { return detail_.code != PICARDY_OK; }
    picardy_error code() const { return static_cast<picardy_error>(detail_.code); }
    const char *text() const { return picardy_error_text(detail_.code); }
    const picardy_detail &detail() const { return detail_; }
    picardy_detail *out() { return &detail_; }

  private:
    picardy_detail detail_{};
};

// What a plan is made of: DDIM of 10 steps over DDPM's betas, until it is changed.
struct Spec : picardy_plan_spec {
    Spec() : picardy_plan_spec(picardy_plan_spec_ddim()) {}
    Spec &with_solver(Solver kind) { return solver.kind = static_cast<std::int32_t>(kind), *this; }
    Spec &with_order(std::uint32_t order) { return solver.order = order, *this; }
    Spec &with_eta(double eta) { return solver.eta = eta, *this; }
    Spec &with_steps(std::uint32_t count) { return steps = count, *this; }
    Spec &with_schedule(const picardy_schedule &levels) { return schedule = levels, *this; }
    Spec &with_prediction(Prediction kind) { return prediction = static_cast<std::int32_t>(kind), *this; }
    // Schedule and prediction as a network was trained.
    Spec &trained_as(const picardy_card &card) {
        return schedule = card.schedule, prediction = card.prediction, *this;
    }
};

// A plan in memory of the caller's.
class Plan {
  public:
    const picardy_plan *get() const { return plan_; }
    const picardy_plan **out() { return &plan_; }
    Error about(picardy_plan_info &info) const {
        Error error;
        picardy_plan_about(plan_, &info, error.out());
        return error;
    }

  private:
    const picardy_plan *plan_ = nullptr;
};

inline Error plan_size(const Spec &spec, std::size_t &bytes) {
    Error error;
    picardy_plan_size(&spec, &bytes, error.out());
    return error;
}

inline Error make_plan(const Spec &spec, Memory memory, Plan &plan) {
    Error error;
    picardy_plan_make(&spec, memory.data(), memory.size(), plan.out(), error.out());
    return error;
}

// A plan of a table in flash.
inline Error make_plan(Span<const picardy_node> nodes, picardy_form form, Memory memory, Plan &plan) {
    Error error;
    picardy_plan_from_table(nodes.data(), nodes.size(), form, memory.data(), memory.size(), plan.out(), error.out());
    return error;
}

// A network over an artifact's bytes.
class Network {
  public:
    // The memory that it takes.
    static Error size(Span<const unsigned char> bytes, std::size_t &size) {
        Error error;
        picardy_network_size(bytes.data(), bytes.size(), &size, error.out());
        return error;
    }
    static Error open(Span<const unsigned char> bytes, Memory memory, Network &network) {
        Error error;
        picardy_network_open(bytes.data(), bytes.size(), memory.data(), memory.size(), &network.network_, error.out());
        return error;
    }
    Error card(picardy_card &card) const {
        Error error;
        picardy_network_card(network_, &card, error.out());
        return error;
    }
    // The numbers of a state.
    Error dim(std::size_t &numbers) const {
        Error error;
        picardy_network_dim(network_, &numbers, error.out());
        return error;
    }
    // Takes samples to the data's own units.
    Error restore(Span<float> x, std::size_t batch) const { return units(picardy_network_restore, x, batch); }
    // Takes items of the data's own units to the network's coordinates, where densities are.
    Error normalize(Span<float> x, std::size_t batch) const { return units(picardy_network_normalize, x, batch); }
    // What log p in the network's coordinates is above log p in the data's own units: the sum of ln data_scale.
    Error log_scale(double &nats) const {
        Error error;
        picardy_network_log_scale(network_, &nats, error.out());
        return error;
    }
    // Conditions of the network's numbers for each item, where it takes them (picardy_card.condition): an observation, a label.
    picardy_denoiser denoiser(Span<float> scratch, Span<const float> conditions = {}) const {
        return {nullptr, nullptr, network_, scratch.data(), scratch.size(), conditions.data(), conditions.size()};
    }

  private:
    template <class F>
    Error units(F *take, Span<float> x, std::size_t batch) const {
        std::size_t width = 0;
        if (auto error = dim(width)) return error;
        // A product beyond all memory is the library's to say.
        if (width != 0 && x.size() / width < batch && batch <= SIZE_MAX / sizeof(float) / width) {
            return Error::too_small("x", width * batch * sizeof(float), x.size() * sizeof(float));
        }
        Error error;
        take(network_, x.data(), batch, error.out());
        return error;
    }

    const picardy_network *network_ = nullptr;
};

// Any callable int(Rows, Span<const float> x, Span<float> out), which lives as long as the denoiser; 0 is success, what else it
// returns comes back in Error::detail().callback. It must not throw.
template <class F, class = std::enable_if_t<!std::is_function_v<F>>>
picardy_denoiser denoiser(F &evaluate) {
    auto call = [](void *context, const picardy_row *rows, std::size_t count, std::size_t dim, const float *x,
                   float *out) noexcept -> std::int32_t {
        return (*static_cast<F *>(context))(Rows(rows, count), Span<const float>(x, count * dim),
                                            Span<float>(out, count * dim));
    };
    return {call, detail::address(evaluate), nullptr, nullptr, 0, nullptr, 0};
}

// The same for a function.
template <class R>
picardy_denoiser denoiser(R (*evaluate)(Rows, Span<const float>, Span<float>)) {
    auto call = [](void *context, const picardy_row *rows, std::size_t count, std::size_t dim, const float *x,
                   float *out) noexcept -> std::int32_t {
        return reinterpret_cast<R (*)(Rows, Span<const float>, Span<float>)>(context)(
            Rows(rows, count), Span<const float>(x, count * dim), Span<float>(out, count * dim));
    };
    return {call, reinterpret_cast<void *>(evaluate), nullptr, nullptr, 0, nullptr, 0};
}

inline picardy_sampler sequential() { return picardy_sampler_sequential(); }
inline picardy_sampler picard(double tolerance = 0.01) {
    picardy_sampler sampler = picardy_sampler_picard();
    sampler.tolerance = tolerance;
    return sampler;
}

// A run, round by round.
class Run {
  public:
    // The next round: one call of the denoiser.
    Error round(const picardy_denoiser &denoiser, picardy_round &round) {
        Error error;
        picardy_run_round(run_, &denoiser, &round, error.out());
        return error;
    }
    // The best state so far.
    Error best(Span<float> x) {
        if (x.size() < numbers_) return Error::too_small("x", numbers_ * sizeof(float), x.size() * sizeof(float));
        Error error;
        picardy_run_best(run_, x.data(), error.out());
        return error;
    }
    // The same, and the run is over.
    Error finish(Span<float> x, picardy_report &report) {
        if (x.size() < numbers_) return Error::too_small("x", numbers_ * sizeof(float), x.size() * sizeof(float));
        Error error;
        picardy_run_finish(run_, x.data(), &report, error.out());
        return error;
    }

  private:
    friend struct Setup;
    picardy_run *run_ = nullptr;
    std::size_t numbers_ = 0;
};

// What is sampled, and how.
struct Setup : picardy_setup {
    Setup(const Plan &plan, const picardy_sampler &sampler, std::uint64_t seed, std::size_t batch, std::size_t dim)
        : picardy_setup{plan.get(), sampler, seed, 0, batch, dim} {}

    Error need(picardy_need &need) const {
        Error error;
        picardy_run_need(this, &need, error.out());
        return error;
    }
    // The noise to start from.
    Error start(Span<float> x) const {
        if (!fits(x.size())) return small(x.size());
        Error error;
        picardy_start(this, x.data(), error.out());
        return error;
    }
    Error begin(Span<const float> x, Memory memory, Run &run) const {
        if (!fits(x.size())) return small(x.size());
        Error error;
        picardy_run_begin(this, x.data(), memory.data(), memory.size(), &run.run_, error.out());
        run.numbers_ = batch * dim;
        return error;
    }
    Error sample(const picardy_denoiser &denoiser, Memory memory, Span<float> x,
                 picardy_report *report = nullptr) const {
        return sample(denoiser, memory, x, [](const picardy_round &) { return true; }, report);
    }
    // `keep_going` is a callable bool(const picardy_round &): false stops the run with the best state so far. It must not throw.
    template <class F, class = std::enable_if_t<std::is_invocable_r_v<bool, F &, const picardy_round &>>>
    Error sample(const picardy_denoiser &denoiser, Memory memory, Span<float> x, F &&keep_going,
                 picardy_report *report = nullptr) const {
        using Callable = std::remove_reference_t<F>;
        if constexpr (std::is_function_v<Callable>) {
            auto pointer = &keep_going;
            return sample(denoiser, memory, x, pointer, report);
        } else {
            if (!fits(x.size())) return small(x.size());
            auto watch = [](void *context, const picardy_round *round) noexcept -> std::int32_t {
                return static_cast<bool>((*static_cast<Callable *>(context))(*round));
            };
            Error error;
            picardy_sample(this, &denoiser, watch, detail::address(keep_going), memory.data(), memory.size(), x.data(), report,
                           error.out());
            return error;
        }
    }

  private:
    bool fits(std::size_t numbers) const { return dim == 0 || numbers / dim >= batch; }
    Error small(std::size_t numbers) const {
        // Where the product is beyond all memory, all of it.
        const std::size_t most = SIZE_MAX / sizeof(float);
        const std::size_t needed = batch > most / dim ? most : batch * dim;
        return Error::too_small("x", needed * sizeof(float), numbers * sizeof(float));
    }
};

using Nats = picardy_nats;
using Level = picardy_level;
using Typical = picardy_typical;
using Threshold = picardy_threshold;

// How densities are estimated: for data of unit variance, 256 evaluations an input, until it is changed.
struct LikelihoodSpec : picardy_likelihood_spec {
    explicit LikelihoodSpec(std::size_t dim) : picardy_likelihood_spec(picardy_likelihood_spec_logistic(dim)) {}
    LikelihoodSpec &with_evaluations(std::size_t count) { return evaluations = count, *this; }
    LikelihoodSpec &with_rows(std::size_t count) { return rows = count, *this; }
    LikelihoodSpec &with_seed(std::uint64_t draws) { return seed = draws, *this; }
    LikelihoodSpec &with_log_snrs(const picardy_log_snrs &drawn) { return log_snrs = drawn, *this; }
    // Schedule, prediction and variance as a network was trained.
    LikelihoodSpec &trained_as(const picardy_card &card) {
        return schedule = card.schedule, prediction = card.prediction, variance = card.data_variance, *this;
    }
};

inline Error likelihood_size(const LikelihoodSpec &spec, std::size_t &bytes) {
    Error error;
    picardy_likelihood_size(&spec, &bytes, error.out());
    return error;
}

// How likely inputs are, and how noisy, in memory of the caller's. `x` is whole items, one after the other.
class Likelihood {
  public:
    static Error make(const LikelihoodSpec &spec, Memory memory, Likelihood &likelihood) {
        Error error;
        picardy_likelihood_make(&spec, memory.data(), memory.size(), &likelihood.likelihood_, error.out());
        likelihood.dim_ = spec.dim;
        return error;
    }
    // log p(x) of each item, in the network's coordinates (Network::normalize, Network::log_scale); at a level, the density of alpha
    // data + sigma noise. A level's t does not count, here and below.
    Error log_density(const picardy_denoiser &denoiser, Span<const float> x, Span<Nats> out, const Level *level = nullptr) {
        return each(picardy_log_density, denoiser, level, x, out);
    }
    // log p_level(x) - log p(x) of each item.
    Error log_ratio(const picardy_denoiser &denoiser, const Level &level, Span<const float> x, Span<Nats> out) {
        return each(picardy_log_ratio, denoiser, &level, x, out);
    }
    // P(level | x) of one item; an even prior where it is empty.
    Error posterior(const picardy_denoiser &denoiser, Span<const Level> levels, Span<const double> prior, Span<const float> x,
                    Span<double> out) {
        if (x.size() < dim_) return small("x", dim_, x);
        if (out.size() < levels.size()) return small("out", levels.size(), out);
        if (prior.size() != 0 && prior.size() < levels.size()) return small("prior", levels.size(), prior);
        Error error;
        picardy_posterior(likelihood_, &denoiser, levels.data(), prior.size() != 0 ? prior.data() : nullptr, levels.size(), x.data(),
                          out.data(), error.out());
        return error;
    }
    // The parts of log p(x) over bands of log-SNRs: PICARDY_BANDS numbers an item.
    Error profile(const picardy_denoiser &denoiser, Span<const float> x, Span<double> out) {
        const std::size_t items = dim_ != 0 ? x.size() / dim_ : 0;
        if (items * dim_ != x.size()) return small("x", (items + 1) * dim_, x);
        if (out.size() / PICARDY_BANDS < items) return small("out", items * PICARDY_BANDS, out);
        Error error;
        picardy_profile(likelihood_, &denoiser, x.data(), items, out.data(), error.out());
        return error;
    }

  private:
    template <class T>
    static Error small(const char *name, std::size_t needed, Span<T> given) {
        return Error::too_small(name, needed * sizeof(T), given.size() * sizeof(T));
    }
    template <class F>
    Error each(F *ask, const picardy_denoiser &denoiser, const Level *level, Span<const float> x, Span<Nats> out) {
        const std::size_t items = dim_ != 0 ? x.size() / dim_ : 0;
        if (items * dim_ != x.size()) return small("x", (items + 1) * dim_, x);
        if (out.size() < items) return small("out", items, out);
        Error error;
        ask(likelihood_, &denoiser, level, x.data(), items, out.data(), error.out());
        return error;
    }

    picardy_likelihood *likelihood_ = nullptr;
    std::size_t dim_ = 0;
};

// What is usual of held-out inputs' profiles, PICARDY_BANDS numbers each: of profiles of the same network and LikelihoodSpec alone (seed,
// evaluations and log-SNRs too).
inline Error fit(Span<const double> profiles, Typical &typical) {
    const std::size_t items = profiles.size() / PICARDY_BANDS;
    if (items * PICARDY_BANDS != profiles.size()) {
        return Error::too_small("profiles", (items + 1) * PICARDY_BANDS * sizeof(double), profiles.size() * sizeof(double));
    }
    Error error;
    picardy_typical_fit(profiles.data(), items, &typical, error.out());
    return error;
}

// How far a profile is from what is usual.
inline Error score(const Typical &typical, Span<const double> profile, double &score) {
    if (profile.size() < PICARDY_BANDS) {
        return Error::too_small("profile", PICARDY_BANDS * sizeof(double), profile.size() * sizeof(double));
    }
    Error error;
    picardy_typical_score(&typical, profile.data(), &score, error.out());
    return error;
}

// The threshold of held-out scores, which are sorted: of scores of the same network and LikelihoodSpec alone.
inline Error calibrate(Span<double> scores, double rate, Threshold &threshold) {
    Error error;
    picardy_threshold_calibrate(scores.data(), scores.size(), rate, &threshold, error.out());
    return error;
}

inline bool is_alarm(const Threshold &threshold, double score) { return picardy_is_alarm(threshold, score) != 0; }

}  // namespace picardy

#endif  // PICARDY_HPP
