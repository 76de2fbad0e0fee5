#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>

#include "runtime/dataset.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::uint32_t kImages = 0x00000803;  // unsigned bytes, three dimensions
constexpr std::uint32_t kLabels = 0x00000801;  // unsigned bytes, one dimension
constexpr std::int64_t kClasses = 10;

struct IdxFile {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;
};

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) {
    reject(fmt::format("{}: expected an IDX file, found none", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) reject(fmt::format("{}: cannot be read", path.string()));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::uint32_t big_endian(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at]) << 24U |
         static_cast<std::uint32_t>(bytes[at + 1]) << 16U |
         static_cast<std::uint32_t>(bytes[at + 2]) << 8U |
         static_cast<std::uint32_t>(bytes[at + 3]);
}

// An IDX file: a magic number whose last byte counts the dimensions, each dimension as 32 bits, big
// end first, then the values. Source: yann.lecun.com/exdb/mnist.
IdxFile read_idx(const std::filesystem::path& path, std::uint32_t magic) {
  const std::vector<std::uint8_t> bytes = read_bytes(path);
  const std::size_t dimensions = magic & 0xffU;
  const std::size_t header = 4 + 4 * dimensions;
  if (bytes.size() < header) {
    reject(fmt::format("{}: expected a header of {} bytes, found {} bytes", path.string(), header,
                       bytes.size()));
  }
  if (big_endian(bytes, 0) != magic) {
    reject(fmt::format("{}: expected the magic number {:#010x}, found {:#010x}", path.string(),
                       magic, big_endian(bytes, 0)));
  }
  IdxFile file;
  // As double: three such numbers may exceed 64 bits.
  double size = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    file.shape.push_back(big_endian(bytes, 4 + 4 * i));
    size *= static_cast<double>(file.shape.back());
  }
  if (size != static_cast<double>(bytes.size() - header)) {
    reject(fmt::format("{}: expected {} values after the header, found {}", path.string(), size,
                       bytes.size() - header));
  }
  file.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end());
  return file;
}

std::array<float, 256> normalised_pixels() {
  std::array<float, 256> pixels{};
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<float>((static_cast<double>(i) / 255.0 - 0.1307) / 0.3081);
  }
  return pixels;
}

void check_labels(const std::filesystem::path& path, const Dataset& data) {
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    if (data.labels[i] < data.classes) continue;
    reject(fmt::format("{}: label {}: expected 0 to {}, found {}", path.string(), i,
                       data.classes - 1, data.labels[i]));
  }
}

Dataset read_part(const std::filesystem::path& directory, const std::string& part) {
  const auto images_path = directory / (part + "-images-idx3-ubyte");
  const auto labels_path = directory / (part + "-labels-idx1-ubyte");
  const IdxFile images = read_idx(images_path, kImages);
  const IdxFile labels = read_idx(labels_path, kLabels);
  if (images.values.empty()) {
    reject(fmt::format("{}: expected at least one image, found none", images_path.string()));
  }
  if (images.shape[0] != labels.shape[0]) {
    reject(fmt::format("{}: expected {} labels, one an image, found {}", labels_path.string(),
                       images.shape[0], labels.shape[0]));
  }
  const std::array<float, 256> pixels = normalised_pixels();
  Dataset data{.features = images.shape[1] * images.shape[2], .classes = kClasses};
  data.samples.reserve(images.values.size());
  for (const std::uint8_t value : images.values) data.samples.push_back(pixels[value]);
  data.labels.assign(labels.values.begin(), labels.values.end());
  check_labels(labels_path, data);
  return data;
}

}  // namespace

DataSplit read_mnist(const std::filesystem::path& directory) {
  if (!std::filesystem::is_directory(directory)) {
    reject(fmt::format("{}: expected a directory with MNIST's IDX files", directory.string()));
  }
  DataSplit split{read_part(directory, "train"), read_part(directory, "t10k")};
  if (split.train.features != split.held_out.features) {
    reject(fmt::format("{}: expected test images of {} pixels as in the training images, found {}",
                       directory.string(), split.train.features, split.held_out.features));
  }
  return split;
}

}  // namespace foreplan
