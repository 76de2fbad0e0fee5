#include "tools/calibrate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "sim/error.hpp"
#include "tools/resources.hpp"

namespace foreplan {
namespace {

namespace fs = std::filesystem;

void set_constant(KernelFacts& facts, const std::string& name, double value) {
  const auto matrix = [&](DType type) { facts.matrix_efficiency[type] = value; };
  if (name == "matrix_efficiency.half") matrix(DType::fp16), matrix(DType::bf16);
  if (name == "matrix_efficiency.fp8") matrix(DType::fp8);
  if (name == "matrix_efficiency.tf32") matrix(DType::tf32);
  if (name == "matrix_efficiency.fp32") matrix(DType::fp32);
  if (name == "l2_bandwidth_bytes_per_s") facts.l2_bandwidth = {value};
  if (name == "misaligned_efficiency") facts.misaligned_efficiency = value;
  if (name == "product_power") facts.product_power = value;
  if (name == "tile_overhead_s") facts.tile_overhead = duration_from_seconds(value);
  if (name == "attention_forward_efficiency") facts.attention_forward_efficiency = value;
  if (name == "attention_backward_efficiency") facts.attention_backward_efficiency = value;
  if (name == "memory_efficiency") facts.memory_efficiency = value;
  if (name == "memory_ramp_s") facts.memory_ramp = duration_from_seconds(value);
}

/// A row that takes part, with its weight.
struct FitRow {
  PublishedRow row;
  std::string source;
  double measured = 0, weight = 1;
};

class Fitter {
 public:
  Fitter(const CalibrationFamily& family, PublishedForecaster& forecaster)
      : family_(family), forecaster_(forecaster) {}

  CalibratedFamily fit(const fs::path& folder) {
    gather(folder);
    std::vector<FittedConstant> all = family_.constants;
    all.insert(all.end(), family_.launches.begin(), family_.launches.end());
    std::vector<double> weights;
    for (const FitRow& row : rows_) weights.push_back(row.weight);
    const RobustFit found = robust_fit(
        all, [&](const std::vector<double>& values) { return residuals(values); }, weights);
    return result(found);
  }

 private:
  void gather(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const bool rows = entry.path().extension() == ".json" && !is_published_table(entry.path());
      if (rows) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      for (PublishedRow& row : read_published(file)) add(std::move(row), file.stem().string());
    }
    weigh();
  }

  /// n rows of a source and a model weigh n^(1/2) together. Rows that were put together from k timed layers are
  /// no more than k measurements, whatever their numbers of layers and micro-batches: k^(1/2) together.
  void weigh() {
    struct Kin {
      int rows = 0;
      std::set<std::string> measurements;
    };
    std::map<std::string, Kin> kin;
    const auto kin_of = [&](const FitRow& fit) -> Kin& {
      const PublishedRow& row = fit.row;
      if (!forecaster_.layers_timed_apart(fit.source, row)) {
        return kin[fit.source + "/" + row.model.name];
      }
      return kin[fmt::format("{}/{}", fit.source, row.model.hidden.value_or(0))];
    };
    for (const FitRow& fit : rows_) {
      Kin& its = kin_of(fit);
      ++its.rows;
      its.measurements.insert(forecaster_.layers_timed_apart(fit.source, fit.row)
                                  ? fmt::format("{}/{}", fit.row.parallel.tp.value_or(1),
                                                fit.row.training.micro_batch.value_or(0))
                                  : fit.row.id);
    }
    for (FitRow& fit : rows_) {
      const Kin& its = kin_of(fit);
      fit.weight = std::sqrt(static_cast<double>(its.measurements.size())) / its.rows;
    }
  }

  void add(PublishedRow row, const std::string& source) {
    const bool trusted = row.trust == Trust::high || row.trust == Trust::medium;
    if (!trusted || !row.step_time_s() || !forecaster_.fits(source, row)) return;
    const std::string device = forecaster_.device_of(row);
    if (std::find(family_.devices.begin(), family_.devices.end(), device) ==
        family_.devices.end()) {
      return;
    }
    try {
      forecaster_.forecast(row, source);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalid_argument) throw;
      return;
    }
    const double measured = *row.step_time_s();
    rows_.push_back({.row = std::move(row), .source = source, .measured = measured});
  }

  KernelFacts facts(const std::vector<double>& values) const {
    KernelFacts facts;
    facts.attention_generation = family_.attention_generation;
    facts.power_w = load_device(family_.devices.front()).power_w;
    return with_constants(std::move(facts), family_.constants, values);
  }

  void hand_over(Duration launch, const std::vector<std::string>& heirs) {
    for (const std::string& name : heirs) {
      Stack stack = load_stack(name);
      stack.host_launch = launch;
      forecaster_.replace_stack(std::move(stack));
    }
  }

  void install(const std::vector<double>& values) {
    const KernelFacts kernels = facts(values);
    for (const std::string& name : family_.devices) {
      DeviceSpec spec = load_device(name);
      spec.kernels = kernels;
      forecaster_.replace_device(spec);
    }
    for (std::size_t i = 0; i < family_.launches.size(); ++i) {
      Stack stack = load_stack(family_.launches[i].name);
      stack.host_launch = duration_from_seconds(values[family_.constants.size() + i]);
      const auto heirs = family_.host_heirs.find(stack.name);
      if (heirs != family_.host_heirs.end()) hand_over(stack.host_launch, heirs->second);
      forecaster_.replace_stack(std::move(stack));
    }
  }

  std::vector<double> residuals(const std::vector<double>& values) {
    install(values);
    std::vector<double> result;
    for (const FitRow& row : rows_) {
      const double forecast = seconds(forecaster_.forecast(row.row, row.source).estimate.step_time);
      result.push_back(std::log(forecast / row.measured));
    }
    return result;
  }

  CalibratedFamily result(const RobustFit& found) const {
    CalibratedFamily result{.family = &family_, .kernels = facts(found.constants)};
    for (std::size_t i = family_.constants.size(); i < found.constants.size(); ++i) {
      result.launches.push_back(found.constants[i]);
    }
    result.rows = static_cast<std::int64_t>(rows_.size());
    std::map<std::string, int> sources;
    double squares = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const double log = found.residuals[i];
      result.mape += std::abs(std::exp(log) - 1) / static_cast<double>(rows_.size());
      squares += log * log;
      ++sources[rows_[i].source];
    }
    result.rms_log = std::sqrt(squares / static_cast<double>(rows_.size()));
    for (const auto& [source, count] : sources) {
      result.sources += fmt::format("{}{} {}", result.sources.empty() ? "" : ", ", source, count);
    }
    return result;
  }

  const CalibrationFamily& family_;
  PublishedForecaster& forecaster_;
  std::vector<FitRow> rows_;
};

}  // namespace

KernelFacts with_constants(KernelFacts facts, const std::vector<FittedConstant>& names,
                           const std::vector<double>& values) {
  for (std::size_t i = 0; i < names.size(); ++i) set_constant(facts, names[i].name, values[i]);
  return facts;
}

CalibratedFamily calibrate(const CalibrationFamily& family, const fs::path& rows,
                           PublishedForecaster& forecaster) {
  return Fitter(family, forecaster).fit(rows);
}

}  // namespace foreplan
