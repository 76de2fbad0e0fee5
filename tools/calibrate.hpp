#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tools/calibration_plan.hpp"
#include "tools/published_forecast.hpp"

namespace foreplan {

/// What a fit found for a family.
struct CalibratedFamily {
  const CalibrationFamily* family = nullptr;
  KernelFacts kernels;
  std::vector<double> launches{};  ///< [s], in the order of the family's
  std::int64_t rows = 0;
  double mape = 0;        ///< over these rows, after the fit
  double rms_log = 0;     ///< root mean square of log(forecast / measured)
  std::string sources{};  ///< of the rows, with their numbers
};

/// Fits a family's constants on its fit rows: residuals log(forecast / measured), their squares
/// weighted by n^(-1/2) where a source has n rows of the model. Rows that are held out are never forecast.
/// @throws Error(invalid_argument) if no fit row is of the family's devices
CalibratedFamily calibrate(const CalibrationFamily& family, const std::filesystem::path& rows,
                           PublishedForecaster& forecaster);

/// Kernel facts with the constants set that have these names; see constant_names().
KernelFacts with_constants(KernelFacts facts, const std::vector<FittedConstant>& names,
                           const std::vector<double>& values);

}  // namespace foreplan
