#include "sim/kernel_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "sim/roofline.hpp"

namespace foreplan {
namespace {

/// Of the result of a matrix product, what one multiprocessor computes at a time.
struct Tile {
  double rows, columns;
};
/// Those that cuBLAS and CUTLASS build for half precision (CUTLASS, media/docs/profiler.md lists them).
constexpr std::array<Tile, 7> kTiles{
    {{256, 256}, {256, 128}, {128, 256}, {128, 128}, {128, 64}, {64, 128}, {64, 64}}};
constexpr double kUsualClock = 1500;  ///< [MHz] where none is told
constexpr std::array<double, 4> kSplits{1, 2, 4, 8};
constexpr double kLeastSplitDepth = 256;  ///< a split of k is not cut shorter
/// Exponentials a clock of a multiprocessor: CUDA C++ Programming Guide, table of arithmetic throughput.
constexpr double kExponentials = 16;
/// How many times as fast as the generation before it FlashAttention-2 and 3 are, the middle of what is told:
/// 2 over the first in Triton 1.3 to 2.5 (arXiv:2307.08691, section 4.1); 3 over 2 on Hopper 1.5 to 2.0
/// forward and 1.5 to 1.75 backward (arXiv:2407.08608, abstract and section 4.1).
struct GenerationGain {
  double forward, backward;
};
constexpr std::array<GenerationGain, 2> kGenerationGain{{{1.8, 1.8}, {1.75, 1.6}}};

/// Dynamic power of kernels that move bytes, and of exchanges, over what the limit leaves.
constexpr double kOtherPower = 0.5;
constexpr int kPowerRounds = 8;

class Kernel {
 public:
  Kernel(const Op& op, const DeviceSpec& spec)
      : op_(op),
        kernels_(*spec.kernels),
        multiprocessors_(std::max(1, spec.multiprocessors)),
        clock_mhz_(spec.clock_mhz > 0 ? spec.clock_mhz : kUsualClock),
        rate_(spec.peak.at(op.key.dtype).flops_per_s * efficiency()),
        bandwidth_(spec.memory_bandwidth.bytes_per_s * kernels_.memory_efficiency) {}

  /// [s] of multiplying alone, at the rate that is reached
  double multiplying() const {
    if (!op_.fused_scores) return op_.matrix.count / rate_;
    return op_.executed * op_.matrix.count * products_again() / rate_;
  }

  double time() const {
    if (op_.product.batch == 0) return op_.launches == 0 ? moving() : moving() + ramp();
    if (op_.fused_scores) return std::max(attention(), moving()) + seconds(kernels_.tile_overhead);
    return product();
  }

 private:
  double efficiency() const {
    const auto own = kernels_.matrix_efficiency.find(op_.key.dtype);
    const double share = own != kernels_.matrix_efficiency.end() ? own->second : 1;
    const double aligned = op_.product.misaligned ? kernels_.misaligned_efficiency : 1;
    return share * aligned;
  }
  double ramp() const { return seconds(kernels_.memory_ramp); }
  double moving() const { return static_cast<double>(op_.traffic.count) / bandwidth_; }

  double product() const {
    double best = std::numeric_limits<double>::infinity();
    for (const Tile& tile : kTiles) best = std::min(best, tiled(tile));
    return best;
  }

  double tiled(const Tile& tile) const {
    const auto [batch, m, n, k] = sizes();
    const double tiles = batch * std::ceil(m / tile.rows) * std::ceil(n / tile.columns);
    const double operand = static_cast<double>(element_size(op_.key.dtype).count);
    const double step = std::max(2 * tile.rows * tile.columns * multiprocessors_ / rate_,
                                 (tile.rows + tile.columns) * operand * multiprocessors_ /
                                     kernels_.l2_bandwidth.bytes_per_s);
    const double overhead = seconds(kernels_.tile_overhead);
    double best = std::numeric_limits<double>::infinity();
    for (const double split : kSplits) {
      if (split > 1 && (k / split < kLeastSplitDepth || tiles * split > 2 * multiprocessors_))
        break;
      const double waves = std::ceil(tiles * split / multiprocessors_);
      const double computing = waves * (step * std::ceil(k / split) + overhead);
      // Partial sums, fp32, are written and read once more.
      const double sums = split > 1 ? 8 * split * batch * m * n / bandwidth_ + overhead : 0;
      best = std::min(best, std::max(computing, moving()) + sums);
    }
    return best;
  }

  /// How many times as long as the device's newest kernels those of an older generation take.
  double lag() const {
    double factor = 1;
    if (op_.attention_generation == 0) return factor;
    for (int g = op_.attention_generation; g < kernels_.attention_generation; ++g) {
      const auto gain = kGenerationGain[static_cast<std::size_t>(std::clamp(g, 1, 2)) - 1];
      factor *= op_.key.pass == Pass::forward ? gain.forward : gain.backward;
    }
    return factor;
  }

  /// Backward computes the scores anew: five products for the four that count.
  double products_again() const { return op_.key.pass == Pass::forward ? 1 : 1.25; }

  double attention() const {
    const bool forward = op_.key.pass == Pass::forward;
    const double share =
        forward ? kernels_.attention_forward_efficiency : kernels_.attention_backward_efficiency;
    const auto [batch, m, n, k] = sizes();
    const double tiles = batch * std::ceil(m / kAttentionTile);
    const double filled = std::ceil(tiles / multiprocessors_) * multiprocessors_ / tiles;
    const double products = op_.matrix.count * products_again() / rate_;
    const double exponentials =
        batch * m * n / (kExponentials * multiprocessors_ * clock_mhz_ * 1e6);
    return filled * op_.executed * (products + exponentials) / share * lag();
  }

  std::array<double, 4> sizes() const {
    const ProductShape& p = op_.product;
    return {static_cast<double>(p.batch), static_cast<double>(p.m), static_cast<double>(p.n),
            static_cast<double>(p.k)};
  }

  const Op& op_;
  const KernelFacts& kernels_;
  double multiprocessors_, clock_mhz_, rate_, bandwidth_;
};

}  // namespace

Duration kernel_time(const Op& op, const DeviceSpec& spec) {
  const Duration least = roofline_time(op, spec);
  return spec.kernels ? duration_from_seconds(Kernel(op, spec).time()) : least;
}

double product_activity(const Op& op, const DeviceSpec& spec, Duration time) {
  if (!spec.kernels || op.product.batch == 0 || time <= Duration::zero()) return 0;
  return std::min(1.0, Kernel(op, spec).multiplying() / seconds(time));
}

double power_slowdown(double share, const DeviceSpec& spec) {
  if (!spec.kernels || !(spec.kernels->product_power > 0)) return 1;
  const KernelFacts& kernels = *spec.kernels;
  const double limit = spec.power_w > 0 ? spec.power_w : kernels.power_w;
  const double power = kernels.product_power * kernels.power_w / limit;
  double clock = 1;
  for (int i = 0; i < kPowerRounds; ++i) {
    const double products = share / clock / (share / clock + 1 - share);
    if (!(products > 0)) return 1;
    const double left = 1 - kOtherPower * (1 - products);
    clock = std::min(1.0, std::cbrt(left / (products * power)));
  }
  return 1 / clock;
}

Duration KernelModel::compute_time(const Op& op, const DeviceSpec& spec) const {
  return kernel_time(op, spec);
}

std::optional<Duration> KernelModel::copy_time(Bytes, DeviceId, DeviceId) const {
  return std::nullopt;
}

}  // namespace foreplan
