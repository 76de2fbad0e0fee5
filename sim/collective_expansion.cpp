#include "sim/collective_expansion.hpp"

#include <algorithm>
#include <utility>

namespace foreplan {
namespace {

constexpr std::int64_t kElement = 4;  // fp32
constexpr TaskId kNone{-1};

std::vector<TaskId> after(const CollectiveSpec& spec, int rank) {
  return spec.after.empty() ? std::vector<TaskId>{} : spec.after[static_cast<std::size_t>(rank)];
}

void append_new(std::vector<TaskId>& tasks, TaskId task) {
  if (std::find(tasks.begin(), tasks.end(), task) == tasks.end()) tasks.push_back(task);
}

/// Where each piece begins, and the end [B]; pieces are whole elements where the buffer is.
std::vector<std::int64_t> piece_begins(std::int64_t bytes, CollectiveExpansion::Cut cut) {
  const std::int64_t unit = bytes % kElement == 0 ? kElement : 1;
  std::vector<std::int64_t> begins;
  begins.reserve(static_cast<std::size_t>(cut.outer) * static_cast<std::size_t>(cut.inner) + 1);
  for (int part = 0; part < cut.outer; ++part) {
    const ChunkRange outer = ring_chunk(bytes / unit, cut.outer, part);
    for (int piece = 0; piece < cut.inner; ++piece) {
      begins.push_back((outer.first + ring_chunk(outer.count, cut.inner, piece).first) * unit);
    }
  }
  begins.push_back(bytes);
  return begins;
}

}  // namespace

CollectiveExpansion::CollectiveExpansion(TaskGraphBuilder& builder, const CollectiveSpec& spec,
                                         Cut cut, int lanes)
    : builder_(builder),
      spec_(spec),
      ranks_(static_cast<int>(spec.group.size())),
      pieces_(cut.outer * cut.inner),
      lanes_(lanes),
      begin_(piece_begins(spec.bytes.count, cut)),
      writer_(spec.group.size() * at(pieces_), kNone),
      last_(spec.group.size() * at(lanes), kNone),
      last_read_(spec.group.size(), kNone),
      collective_(builder.add_collective({spec.kind, spec.group, spec.bytes, spec.name})) {
  previous_.reserve(last_.size());
  for (int i = 0; i < ranks_ * lanes_; ++i) previous_.push_back(after(spec, i / lanes_));
}

Bytes CollectiveExpansion::size(const Pull& pull) const {
  return {begin_[at(pull.first + pull.count)] - begin_[at(pull.first)]};
}

BufferRange CollectiveExpansion::range(int rank, const Pull& pull) const {
  const BufferRange& whole = spec_.data[at(rank)];
  return {whole.buffer, whole.offset + Bytes{begin_[at(pull.first)]}, size(pull)};
}

/// What makes the pieces of `pull` ready where they are read.
std::vector<TaskId> CollectiveExpansion::ready(const Pull& pull) const {
  std::vector<TaskId> tasks;
  bool own = false;
  for (int piece = pull.first; piece < pull.first + pull.count; ++piece) {
    const TaskId wrote = writer(pull.from, piece);
    if (wrote != kNone) append_new(tasks, wrote);
    own = own || wrote == kNone;
  }
  if (own && !spec_.after.empty()) {
    for (const TaskId task : spec_.after[at(pull.from)]) append_new(tasks, task);
  }
  if (pull.wait != kNone) append_new(tasks, pull.wait);
  return tasks;
}

/// Adds `task` to `rank`, behind what the rank did before in that lane.
TaskId CollectiveExpansion::add(int rank, int lane, TaskSpec task) {
  std::vector<TaskId>& before = previous(rank, lane);
  task.after.insert(task.after.end(), before.begin(), before.end());
  task.device = spec_.group[at(rank)];
  task.stream = streams(lane) ? spec_.stream : kNoStream;
  task.collective = collective_;
  task.node = spec_.node;
  task.micro_batch = spec_.micro_batch;
  const TaskId id = builder_.add(std::move(task));
  // In a stream the next task of the rank waits for this one anyway.
  before.clear();
  if (!streams(lane)) before.push_back(id);
  last_[at(rank * lanes_ + lane)] = id;
  return id;
}

CollectiveExpansion::Pulled CollectiveExpansion::fetch(const Pull& pull) {
  Pulled pulled{.pull = pull};
  const Bytes bytes = size(pull);
  if (bytes.count == 0) return pulled;
  TaskSpec task{.kind = TaskKind::transfer,
                .source = spec_.group[at(pull.from)],
                .bytes = bytes,
                .after = ready(pull)};
  if (!spec_.data.empty()) {
    task.reads = {range(pull.from, pull)};
    if (pull.adds) {
      pulled.staging = builder_.add_buffer({.device = spec_.group[at(pull.rank)],
                                            .bytes = bytes,
                                            .category = BufferCategory::communication});
      task.writes = {{pulled.staging, {}, bytes}};
      task.allocates = {pulled.staging};
    } else {
      task.writes = {range(pull.rank, pull)};
    }
  }
  pulled.task = add(pull.rank, pull.lane, std::move(task));
  last_read_[at(pull.from)] = pulled.task;
  reads_.push_back({pull.from, pull.rank * lanes_ + pull.lane, pulled.task});
  return pulled;
}

void CollectiveExpansion::land(const Pulled& pulled, TaskId reader) {
  if (pulled.task == kNone) return;
  const Pull& pull = pulled.pull;
  TaskId wrote = pulled.task;
  if (pull.adds && !spec_.data.empty()) {
    const BufferRange target = range(pull.rank, pull);
    const std::int64_t elements = target.bytes.count / kElement;
    const OpId op = builder_.add_op({.key = {.op = "accumulate", .shape = {elements}},
                                     .flops = {static_cast<double>(elements)},
                                     .traffic = {3 * target.bytes.count}});
    TaskSpec task{.op = op,
                  .reads = {{pulled.staging, {}, target.bytes}},
                  .writes = {target},
                  .frees = {pulled.staging}};
    if (streams(pull.lane)) task.after = {pulled.task};
    if (reader != kNone) task.after.push_back(reader);
    // Two adds to the same pieces from two lanes.
    const TaskId before = writer(pull.rank, pull.first);
    if (pull.lane != 0 && before != kNone) task.after.push_back(before);
    wrote = add(pull.rank, pull.lane, std::move(task));
  }
  std::fill_n(writer_.begin() + static_cast<std::ptrdiff_t>(cell(pull.rank, pull.first)),
              pull.count, wrote);
}

std::vector<TaskId> CollectiveExpansion::done(int rank) {
  std::vector<TaskId> tasks;
  for (int lane = 0; lane < lanes_; ++lane) {
    const TaskId last = last_[at(rank * lanes_ + lane)];
    if (last != kNone) tasks.push_back(last);
  }
  return tasks.empty() ? after(spec_, rank) : tasks;
}

/// By rank: the last read of its data by each lane of each other rank, readers in order.
std::vector<std::vector<TaskId>> CollectiveExpansion::released() const {
  std::vector<std::vector<const Read*>> by_rank(at(ranks_));
  for (const Read& read : reads_) by_rank[at(read.from)].push_back(&read);
  std::vector<std::vector<TaskId>> result(at(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) {
    std::vector<const Read*>& reads = by_rank[at(rank)];
    std::stable_sort(reads.begin(), reads.end(),
                     [](const Read* a, const Read* b) { return a->reader < b->reader; });
    for (std::size_t i = 0; i < reads.size(); ++i) {
      const bool last = i + 1 == reads.size() || reads[i + 1]->reader != reads[i]->reader;
      if (last) result[at(rank)].push_back(reads[i]->task);
    }
  }
  return result;
}

CollectiveTasks CollectiveExpansion::result() && {
  CollectiveTasks tasks{.collective = collective_, .done = {}, .released = released()};
  for (int rank = 0; rank < ranks_; ++rank) tasks.done.push_back(done(rank));
  return tasks;
}

}  // namespace foreplan
