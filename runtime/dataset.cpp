#include "runtime/dataset.hpp"

#include <fmt/format.h>

#include <cmath>

#include "runtime/counter_random.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

// Streams of random numbers under one seed.
constexpr std::uint64_t kPrototypes = 1;
constexpr std::uint64_t kLabels = 2;
constexpr std::uint64_t kNoise = 3;

class Generator {
 public:
  // Prototypes of unit variance lie sqrt(2 features) apart on average: 9 deviations of the noise.
  explicit Generator(const GeneratedData& options)
      : options_(options),
        features_(static_cast<std::uint64_t>(options.features)),
        noise_(static_cast<float>(std::sqrt(2.0 * static_cast<double>(options.features)) / 9.0)),
        scale_(1.0F / std::sqrt(1.0F + noise_ * noise_)) {
    prototypes_.reserve(features_ * static_cast<std::uint64_t>(options.classes));
    for (std::uint64_t i = 0; i < features_ * static_cast<std::uint64_t>(options.classes); ++i) {
      prototypes_.push_back(random_normal(options.seed, kPrototypes, i));
    }
  }

  /// Samples [first, first + count).
  Dataset samples(std::int64_t first, std::int64_t count) const {
    Dataset data{.features = options_.features, .classes = options_.classes};
    data.labels.reserve(static_cast<std::size_t>(count));
    data.samples.reserve(static_cast<std::size_t>(count * options_.features));
    for (std::int64_t i = first; i < first + count; ++i) add(data, static_cast<std::uint64_t>(i));
    return data;
  }

 private:
  void add(Dataset& data, std::uint64_t number) const {
    const std::uint64_t label =
        random_bits(options_.seed, kLabels, number) % static_cast<std::uint64_t>(options_.classes);
    data.labels.push_back(static_cast<std::int32_t>(label));
    for (std::uint64_t i = 0; i < features_; ++i) {
      const float noise = random_normal(options_.seed, kNoise, number * features_ + i);
      data.samples.push_back((prototypes_[label * features_ + i] + noise_ * noise) * scale_);
    }
  }

  GeneratedData options_;
  std::uint64_t features_;
  float noise_;
  float scale_;
  std::vector<float> prototypes_;
};

void check_positive(const char* what, std::int64_t value) {
  if (value < 1) reject(fmt::format("generated data: expected {} >= 1, got {}", what, value));
}

}  // namespace

std::span<const float> Dataset::sample(std::int64_t row) const {
  return std::span(samples).subspan(static_cast<std::size_t>(row * features),
                                    static_cast<std::size_t>(features));
}

DataSplit generate_data(const GeneratedData& options) {
  check_positive("features", options.features);
  check_positive("classes", options.classes);
  check_positive("training samples", options.train);
  check_positive("held-out samples", options.held_out);
  const Generator generator(options);
  return {generator.samples(0, options.train), generator.samples(options.train, options.held_out)};
}

}  // namespace foreplan
