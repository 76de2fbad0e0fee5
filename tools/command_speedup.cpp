#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "sim/error.hpp"
#include "tools/commands.hpp"
#include "tools/loaded_task.hpp"
#include "tools/speedup_text.hpp"

namespace foreplan {

void run_speedup(const SpeedupCommand& command, std::ostream& out) {
  const std::vector<Family> families = families_named(command.families);
  LoadedTask loaded(command.task);
  const Task& task = loaded.task();
  const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const SpeedupTable table =
      speedup_table(task, {.devices = command.devices, .families = families, .threads = threads});
  if (command.json) {
    out << to_json(table).dump(2) << "\n";
  } else {
    out << describe(table, task);
  }
  if (table.best() == nullptr) {
    throw Error(ErrorCode::infeasible,
                "nothing fits: no family has a member that the devices hold");
  }
}

}  // namespace foreplan
