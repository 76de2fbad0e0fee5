#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/published.hpp"
#include "planner/strategy.hpp"
#include "sim/cluster.hpp"

namespace foreplan {

/// The names of files in models/published that hold no rows.
bool is_published_table(const std::filesystem::path& file);

/// What the names that rows give to hardware mean: `hardware.json`.
struct PublishedHardware {
  struct Nics {
    int per_node = 1;
    Bandwidth bandwidth{};  ///< as sold
    double efficiency = 1;  ///< LinkFacts::efficiency
    Bandwidth flow{};       ///< LinkFacts::flow
    Duration latency{};     ///< of a NIC; 0: that of the table
    Duration setup{};       ///< LinkFacts::setup; 0: that of the device's own links
  };
  struct Gpu {
    std::string device;     ///< of models/devices
    int nvlink_domain = 0;  ///< GPUs that NVLink joins, where that is more than a node; 0: a node
    Nics nics;              ///< of the vendor's own system
  };
  std::map<std::string, Gpu> gpus;
  std::map<std::string, Nics> networks;  ///< by `interconnect`
  Duration intra_latency{}, nic_latency{}, fabric_latency{};
};
/// @throws Error(invalid_argument) naming file and place
PublishedHardware read_published_hardware(const std::filesystem::path& path);

/// What a source's rows have in common beside what they tell: an entry of `sources.json`.
struct PublishedSource {
  std::string source;     ///< name of its file
  std::string id;         ///< ids begin with this; empty: all
  std::string precision;  ///< of the rows; empty: all
  std::string note;       ///< stands in the rows' notes; empty: all
  std::string stack;      ///< of models/stacks
  std::string profile{};  ///< of models/profiles, measured where the rows were; empty: none
  std::int64_t vocabulary_multiple =
      0;                        ///< the vocabulary is padded to; 0: as Megatron-LM with tp > 1
  bool vocabulary_cut = false;  ///< what is left of it when tp does not divide it is left out
  bool dropout = false;
  bool sp = false;  ///< sequence parallel with tp > 1, where a row does not tell
  std::optional<Recompute> recompute{};  ///< where a row does not tell; empty: nobody does
  std::optional<Recompute>
      recompute_instead{};  ///< of what rows tell, where that is known to be wrong
  int recompute_every = 1;  ///< of so many layers one is recomputed
  std::int64_t packed = 0;  ///< tokens of a sample where a sequence packs several; 0: it is one
  int vpp = 0;              ///< of a pipeline where a row does not tell; 0: 1
  int zero = 0;             ///< stage, where a row does not tell
  bool alibi = false;  ///< no table of positions, and a norm behind the embedding, as BLOOM has
  std::optional<bool>
      tied{};  ///< the head's weights are the embedding's; empty: as the kind has it
  /// Step times were put together from layers that were timed one by one: HostPace::starts_idle.
  bool layers_timed_apart = false;
};
struct PublishedSources {
  std::vector<PublishedSource> rows;          ///< the first that fits counts
  std::map<std::string, std::string> models;  ///< of models/zoo, by name: what no shape tells
  const PublishedSource* find(const std::string& source, const PublishedRow& row) const;
};
/// @throws Error(invalid_argument) naming file and place
PublishedSources read_published_sources(const std::filesystem::path& path);

/// Which rows constants may be fitted on: `split.json`.
class PublishedSplit {
 public:
  struct Rule {
    std::string source, model, gpu;  ///< the last two: what names begin with
    bool fit = false;
  };
  explicit PublishedSplit(std::vector<Rule> rules) : rules_(std::move(rules)) {}
  /// As the first rule says that fits; where none does, the row is held out.
  bool fits(const std::string& source, const PublishedRow& row) const;

 private:
  std::vector<Rule> rules_;
};
/// @throws Error(invalid_argument) naming file and place
PublishedSplit read_published_split(const std::filesystem::path& path);

}  // namespace foreplan
