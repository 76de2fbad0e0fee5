#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace foreplan {

/// Labelled samples, row by row.
struct Dataset {
  std::int64_t features = 0;
  std::int64_t classes = 0;
  std::vector<float> samples{};        ///< [size(), features]
  std::vector<std::int32_t> labels{};  ///< each in [0, classes)

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  /// The features of one sample.
  std::span<const float> sample(std::int64_t row) const;
};

/// What is trained on, and what shows whether it was learnt.
struct DataSplit {
  Dataset train;
  Dataset held_out;
};

/// Reads MNIST from `directory`: train-images-idx3-ubyte, train-labels-idx1-ubyte,
/// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte. Pixels become (p / 255 - 0.1307) / 0.3081:
/// about mean 0 and deviation 1 over the training images.
/// @throws Error(invalid_argument) naming the file, what was expected and what was found
DataSplit read_mnist(const std::filesystem::path& directory);

/// What to generate.
struct GeneratedData {
  std::int64_t features = 784;
  std::int64_t classes = 10;
  std::int64_t train = 8192;
  std::int64_t held_out = 2048;
  std::uint64_t seed = 1;
};

/// A learnable set: every class has a prototype, every sample is the prototype of its class under
/// noise. Both are random; two prototypes lie about 9 deviations of the noise apart, whatever the
/// number of features, so that nearly all samples can be told apart and a network that has learnt
/// nothing is right once in `classes` times. Features have mean 0 and variance about 1.
/// Each sample depends on the seed and its number alone.
/// @throws Error(invalid_argument) if a number is < 1
DataSplit generate_data(const GeneratedData& options);

}  // namespace foreplan
