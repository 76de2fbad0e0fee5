#include "sim/collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kElement = 4;  // fp32
constexpr TaskId kNone{-1};

Duration rounds_time(std::int64_t rounds, Bytes size, int ranks, const Hop& hop) {
  if (size.count < 0) reject(fmt::format("collective: expected bytes >= 0, got {}", size.count));
  if (ranks < 1) reject(fmt::format("collective: expected at least one rank, got {}", ranks));
  if (!(hop.bandwidth.bytes_per_s > 0)) {
    reject(fmt::format("collective: expected a positive bandwidth, got {} B/s",
                       hop.bandwidth.bytes_per_s));
  }
  if (rounds == 0) return Duration::zero();
  const Duration round = hop.latency + size / Bandwidth{hop.bandwidth.bytes_per_s * ranks};
  if (round > Duration::max() / rounds) reject("collective: its time is out of range");
  return rounds * round;
}

/// Adds the tasks of one collective, remembering who last wrote what.
class Expansion {
 public:
  Expansion(TaskGraphBuilder& builder, const CollectiveSpec& spec)
      : builder_(builder),
        spec_(spec),
        ranks_(static_cast<int>(spec.group.size())),
        unit_(spec.bytes.count % kElement == 0 ? kElement : 1),
        previous_(spec.after),
        writer_(spec.group.size() * spec.group.size(), kNone),
        last_(spec.group.size(), kNone),
        last_pull_(spec.group.size() * spec.group.size(), kNone) {
    previous_.resize(spec.group.size());
    result_.collective = builder.add_collective({spec.kind, spec.group, spec.bytes, spec.name});
  }

  void reduce_scatter() {
    for (int round = 0; round < ranks_ - 1; ++round) {
      for (int rank = 0; rank < ranks_; ++rank) {
        const int chunk = direct() ? rank : wrapped(rank - 2 - round);
        const int from = direct() ? wrapped(rank - 1 - round) : wrapped(rank - 1);
        if (spec_.data.empty()) {
          pull(rank, from, chunk);
        } else if (chunk_range(chunk).count > 0) {
          pull_and_add(rank, from, chunk);
        }
      }
    }
  }

  void all_gather() {
    for (int round = 0; round < ranks_ - 1; ++round) {
      for (int rank = 0; rank < ranks_; ++rank) {
        const int chunk = wrapped(rank - 1 - round);
        TaskSpec task;
        // In place: what was here before has been read, or this chunk would not be complete.
        if (!spec_.data.empty()) task.writes = {range(rank, chunk)};
        pull(rank, direct() ? chunk : wrapped(rank - 1), chunk, std::move(task));
      }
    }
  }

  /// Each part comes straight from its owner, so that no round waits for another.
  void all_to_all() {
    for (int round = 0; round < ranks_ - 1; ++round) {
      for (int rank = 0; rank < ranks_; ++rank) pull(rank, wrapped(rank - 1 - round), rank);
    }
  }

  CollectiveTasks result() && {
    for (int rank = 0; rank < ranks_; ++rank) {
      const TaskId last = last_[at(rank)];
      result_.done.push_back(last != kNone ? std::vector{last} : after(rank));
      result_.released.emplace_back();
      for (int other = 0; other < ranks_; ++other) {
        const TaskId reader = last_pull(other, rank);
        if (reader != kNone) result_.released.back().push_back(reader);
      }
    }
    return std::move(result_);
  }

 private:
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }
  int wrapped(int rank) const { return (rank + 2 * ranks_) % ranks_; }
  bool direct() const { return spec_.algorithm == CollectiveAlgorithm::direct; }
  /// What `rank` pulled last from rank `from`.
  TaskId& last_pull(int rank, int from) { return last_pull_[at(rank) * at(ranks_) + at(from)]; }
  TaskId& writer(int rank, int chunk) { return writer_[at(rank) * at(ranks_) + at(chunk)]; }
  std::vector<TaskId> after(int rank) const {
    return spec_.after.empty() ? std::vector<TaskId>{} : spec_.after[at(rank)];
  }

  /// In bytes.
  ChunkRange chunk_range(int chunk) const {
    const ChunkRange units = ring_chunk(spec_.bytes.count / unit_, ranks_, chunk);
    return {units.first * unit_, units.count * unit_};
  }
  BufferRange range(int rank, int chunk) const {
    const BufferRange& whole = spec_.data[at(rank)];
    const ChunkRange bytes = chunk_range(chunk);
    return {whole.buffer, whole.offset + Bytes{bytes.first}, Bytes{bytes.count}};
  }

  /// Adds `task` to `rank`, behind what the rank did before.
  TaskId add(int rank, TaskSpec task) {
    std::vector<TaskId>& previous = previous_[at(rank)];
    task.after.insert(task.after.end(), previous.begin(), previous.end());
    task.device = spec_.group[at(rank)];
    task.stream = spec_.stream;
    task.collective = result_.collective;
    task.node = spec_.node;
    task.micro_batch = spec_.micro_batch;
    const TaskId id = builder_.add(std::move(task));
    // In a stream the next task of the rank waits for this one anyway.
    previous = spec_.stream == kNoStream ? std::vector{id} : std::vector<TaskId>{};
    last_[at(rank)] = id;
    return id;
  }

  /// `rank` pulls `chunk` from rank `from`; `task` says where to. Nothing if the chunk is empty.
  TaskId pull(int rank, int from, int chunk, TaskSpec task = {}) {
    const Bytes size{chunk_range(chunk).count};
    if (size.count == 0) return kNone;
    task.kind = TaskKind::transfer;
    task.source = spec_.group[at(from)];
    task.bytes = size;
    if (!spec_.data.empty()) task.reads = {range(from, chunk)};
    const TaskId wrote = writer(from, chunk);
    task.after = wrote != kNone ? std::vector{wrote} : after(from);
    const TaskId id = add(rank, std::move(task));
    writer(rank, chunk) = id;
    last_pull(rank, from) = id;
    return id;
  }

  void pull_and_add(int rank, int from, int chunk) {
    const BufferRange target = range(rank, chunk);
    const BufferId staging = builder_.add_buffer({.device = spec_.group[at(rank)],
                                                  .bytes = target.bytes,
                                                  .category = BufferCategory::communication});
    const BufferRange staged{staging, {}, target.bytes};
    const TaskId pulled =
        pull(rank, from, chunk, {.writes = {staged}, .allocates = {staging}});
    const std::int64_t elements = target.bytes.count / kElement;
    const OpId op = builder_.add_op({.key = {.op = "accumulate", .shape = {elements}},
                                     .flops = {static_cast<double>(elements)},
                                     .traffic = {3 * target.bytes.count}});
    TaskSpec task{.op = op, .reads = {staged}, .writes = {target}, .frees = {staging}};
    if (spec_.stream != kNoStream) task.after = {pulled};
    writer(rank, chunk) = add(rank, std::move(task));
  }

  TaskGraphBuilder& builder_;
  const CollectiveSpec& spec_;
  int ranks_;
  std::int64_t unit_;                          ///< [B]; chunks are whole units
  std::vector<std::vector<TaskId>> previous_;  ///< by rank: what its next task waits for
  std::vector<TaskId> writer_;                 ///< by rank and chunk
  std::vector<TaskId> last_;                   ///< by rank
  std::vector<TaskId> last_pull_;              ///< by rank and whom from
  CollectiveTasks result_;
};

void check(const CollectiveSpec& spec) {
  const std::size_t ranks = spec.group.size();
  if (ranks == 0) reject("collective: expected at least one rank, got none");
  if (spec.bytes.count < 0) {
    reject(fmt::format("collective: expected bytes >= 0, got {}", spec.bytes.count));
  }
  if (!spec.after.empty() && spec.after.size() != ranks) {
    reject(
        fmt::format("collective: expected `after` for {} ranks, got {}", ranks, spec.after.size()));
  }
  if (spec.data.empty()) return;
  if (spec.kind == CollectiveKind::all_to_all) {
    reject("collective: expected an all_to_all without data");
  }
  if (spec.data.size() != ranks) {
    reject(fmt::format("collective: expected data of {} ranks, got {}", ranks, spec.data.size()));
  }
  if (spec.bytes.count % kElement != 0) {
    reject(fmt::format("collective: expected whole fp32 numbers, got {} bytes", spec.bytes.count));
  }
  for (const BufferRange& range : spec.data) {
    if (range.bytes != spec.bytes) {
      reject(fmt::format("collective: expected {} bytes of data on each rank, got {}",
                         spec.bytes.count, range.bytes.count));
    }
  }
}

}  // namespace

Duration ring_all_reduce_time(Bytes size, int ranks, const Hop& hop) {
  return rounds_time(2 * (std::int64_t{ranks} - 1), size, ranks, hop);
}

Duration ring_half_time(Bytes size, int ranks, const Hop& hop) {
  return rounds_time(std::int64_t{ranks} - 1, size, ranks, hop);
}

std::string_view name(CollectiveAlgorithm algorithm) {
  return algorithm == CollectiveAlgorithm::ring ? "ring" : "direct";
}

ChunkRange ring_chunk(std::int64_t elements, int ranks, int rank) {
  const std::int64_t least = elements / ranks;
  const std::int64_t larger = elements % ranks;
  return {rank * least + std::min<std::int64_t>(rank, larger), least + (rank < larger ? 1 : 0)};
}

CollectiveTasks expand_collective(TaskGraphBuilder& builder, const CollectiveSpec& spec) {
  check(spec);
  Expansion expansion(builder, spec);
  if (spec.kind == CollectiveKind::all_to_all) {
    expansion.all_to_all();
    return std::move(expansion).result();
  }
  if (spec.kind != CollectiveKind::all_gather) expansion.reduce_scatter();
  if (spec.kind != CollectiveKind::reduce_scatter) expansion.all_gather();
  return std::move(expansion).result();
}

}  // namespace foreplan
