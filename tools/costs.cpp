#include <memory>

#include "sim/kernel_model.hpp"
#include "sim/profile.hpp"
#include "sim/profile_io.hpp"
#include "tools/commands.hpp"

namespace foreplan {

std::unique_ptr<CostModel> load_costs(const std::string& profile) {
  if (profile.empty()) return std::make_unique<KernelModel>();
  return std::make_unique<ProfileModel>(read_profile(profile));
}

}  // namespace foreplan
