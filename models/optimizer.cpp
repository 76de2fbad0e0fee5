#include "models/optimizer.hpp"

#include <fmt/format.h>

#include "sim/error.hpp"

namespace foreplan {

std::string_view name(Optimizer optimizer) { return optimizer == Optimizer::sgd ? "sgd" : "adam"; }

Optimizer optimizer_named(std::string_view text) {
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::adam}) {
    if (text == name(optimizer)) return optimizer;
  }
  reject(fmt::format("optimizer: expected sgd or adam, got '{}'", text));
}

}  // namespace foreplan
