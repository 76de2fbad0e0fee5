#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sim/op.hpp"
#include "sim/units.hpp"

namespace foreplan {

enum class DeviceId : std::int32_t {};
enum class TaskId : std::int32_t {};
enum class BufferId : std::int32_t {};
enum class OpId : std::int32_t {};
enum class StreamId : std::int16_t {};

/// The place of an id in the arrays that it counts.
template <typename Id>
constexpr std::size_t index(Id id) {
  return static_cast<std::size_t>(id);
}

inline constexpr StreamId kNoStream{-1};  ///< the task waits for its predecessors only
inline constexpr StreamId kComputeStream{0};
inline constexpr StreamId kCopyInStream{1};
inline constexpr StreamId kCopyOutStream{2};
inline constexpr StreamId kCollectiveStream{3};

enum class TaskKind : std::uint8_t { compute, transfer, host };

enum class BufferCategory : std::uint8_t {
  parameter,
  gradient,
  optimizer_state,
  activation,
  communication,
  workspace,
  input,
};
inline constexpr int kBufferCategories = 7;
std::string_view name(BufferCategory category);

/// Memory of one device. A persistent buffer lives through every step; any other from the start of
/// the task that allocates it to the end of the task that frees it.
struct Buffer {
  DeviceId device{};
  Bytes bytes{};
  BufferCategory category = BufferCategory::activation;
  bool persistent = false;
  std::string name{};  ///< from the author of a graph file; empty in lowered graphs
};

/// Part of a buffer, as a task reads or writes it.
struct BufferRange {
  BufferId buffer{};
  Bytes offset{};
  Bytes bytes{};
};

/// The last four have a root, the first of the group.
enum class CollectiveKind : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  all_to_all,
  broadcast,
  reduce,
  gather,
  scatter,
};
inline constexpr int kCollectiveKinds = 8;
std::string_view name(CollectiveKind kind);

/// A collective as its author meant it; its copies and adds are tasks of their own that name it.
struct Collective {
  CollectiveKind kind{};
  std::vector<DeviceId> group{};
  Bytes bytes{};       ///< of the whole buffer: what each rank holds before (all_reduce,
                       ///< reduce_scatter, all_to_all, reduce) or after (all_gather, broadcast), or
                       ///< the root does (gather, scatter)
  std::string name{};  ///< id in a graph file, or derived by the lowering
};

/// What lies in a range of a buffer: a part of a tensor of the model.
///
/// The simulator passes these through; whoever runs the graph uses them to put weights and samples
/// where the tasks expect them, and to find losses and weights afterwards.
struct Placement {
  enum class Role : std::uint8_t { parameter, gradient, input, label, loss };
  Role role{};
  BufferRange range;
  /// parameter, gradient: index into OpGraph::parameters(); otherwise 0.
  std::int32_t tensor = 0;
  /// The rows of the whole tensor that lie here: [row, row + rows). For input, label and loss these
  /// are samples of the global batch. A bias or a norm's gain is one row.
  std::int64_t row = 0, rows = 0;
  /// The columns that lie here: [column, column + columns); stored row by row, `columns` wide.
  std::int64_t column = 0, columns = 0;
};

/// A list of lists, flat: the items of row i are items[begin[i] .. begin[i + 1]).
template <typename T>
struct Rows {
  std::vector<std::int32_t> begin{0};
  std::vector<T> items;

  std::span<const T> operator[](std::size_t row) const {
    return std::span(items).subspan(static_cast<std::size_t>(begin[row]),
                                    static_cast<std::size_t>(begin[row + 1] - begin[row]));
  }
  std::size_t size() const { return begin.size() - 1; }
  void close_row() { begin.push_back(static_cast<std::int32_t>(items.size())); }
};

/// One training step as tasks with dependencies: what is simulated and, the same, executed.
///
/// Structure of arrays: entry i of each per-task array belongs to TaskId{i}. Names are derived
/// (`task_name`) and durations live elsewhere (sim/cost_model.hpp), so that a graph is built once
/// and costed many times. Made by TaskGraphBuilder, which keeps the invariants: ids in range,
/// `order` a topological order of the dependencies together with the order of every stream.
struct TaskGraph {
  int devices = 0;
  std::int64_t global_batch = 0;  ///< samples a step; 0 where the graph has none

  std::vector<TaskKind> kind;
  std::vector<DeviceId> device;           ///< where it runs; of a transfer, the destination
  std::vector<StreamId> stream;           ///< of `device`: FIFO in order of id
  std::vector<OpId> op;                   ///< compute, host: into `ops`; otherwise -1
  std::vector<DeviceId> source;           ///< transfer; otherwise equal to `device`
  std::vector<Bytes> bytes;               ///< transfer; otherwise 0
  std::vector<std::int32_t> node;         ///< into `node_names`, -1 where none
  std::vector<std::int32_t> micro_batch;  ///< -1 where none
  std::vector<std::int32_t> collective;   ///< into `collectives`, -1 where none
  Rows<TaskId> after;        ///< predecessors; streams add the one before in the stream
  Rows<BufferRange> reads;   ///< of a transfer: one range on `source`
  Rows<BufferRange> writes;  ///< of a transfer: one range on `device`
  Rows<BufferId> allocates;  ///< at the task's start
  Rows<BufferId> frees;      ///< at the task's end

  std::vector<Op> ops;  ///< distinct
  std::vector<Buffer> buffers;
  std::vector<Collective> collectives;
  std::vector<Placement> placements;
  std::vector<std::string> node_names;    ///< layers of the model, for names
  std::vector<std::string> task_names;    ///< ids of a graph file; empty in lowered graphs
  std::vector<std::string> stream_names;  ///< by StreamId; the four well-known first

  std::vector<TaskId> order;  ///< topological, streams included; ties by id

  std::size_t size() const { return kind.size(); }
};

/// The file's id where the graph came from a file; else made from op, pass, layer, micro-batch and
/// route: "fc1 linear.forward mb2", "fc1 all_reduce 0->1".
std::string task_name(const TaskGraph& graph, TaskId task);

/// One task, as given to the builder.
struct TaskSpec {
  TaskKind kind = TaskKind::compute;
  DeviceId device{};
  StreamId stream = kComputeStream;
  OpId op{-1};
  std::optional<DeviceId> source{};
  Bytes bytes{};
  std::int32_t node = -1;
  std::int32_t micro_batch = -1;
  std::int32_t collective = -1;
  std::vector<TaskId> after{};
  std::vector<BufferRange> reads{};
  std::vector<BufferRange> writes{};
  std::vector<BufferId> allocates{};
  std::vector<BufferId> frees{};
  std::string name{};
};

/// One task whose lists belong to somebody else; what TaskSpec is without them.
struct TaskView {
  TaskKind kind = TaskKind::compute;
  DeviceId device{};
  StreamId stream = kComputeStream;
  OpId op{-1};
  std::optional<DeviceId> source{};
  Bytes bytes{};
  std::int32_t node = -1;
  std::int32_t micro_batch = -1;
  std::int32_t collective = -1;
  std::span<const TaskId> after{};
  std::span<const BufferRange> reads{};
  std::span<const BufferRange> writes{};
  std::span<const BufferId> allocates{};
  std::span<const BufferId> frees{};
  std::string_view name{};
};

/// Builds a TaskGraph in order of streams; `after` may name tasks that are added later.
///
///   TaskGraphBuilder builder(2);
///   OpId op = builder.add_op({.key = {.op = "linear", .shape = {128, 784, 128}}});
///   TaskId a = builder.add({.device = DeviceId{0}, .op = op});
///   builder.add({.kind = TaskKind::transfer, .device = DeviceId{1}, .source = DeviceId{0},
///                .bytes = 64_KB, .after = {a}});
///   TaskGraph graph = std::move(builder).build();
///
/// Tasks go straight into the arrays of the graph. Who adds millions keeps its own lists and calls
/// `append`, which copies them and allocates nothing but the arrays' growth.
class TaskGraphBuilder {
 public:
  /// @throws Error(invalid_argument) if `devices` < 1
  explicit TaskGraphBuilder(int devices);

  /// Interns: equal ops give the same id.
  OpId add_op(const Op& op);
  BufferId add_buffer(Buffer buffer);
  std::int32_t add_collective(Collective collective);
  std::int32_t add_node_name(std::string name);
  StreamId stream_named(const std::string& name);
  void add_placement(const Placement& placement);
  void set_global_batch(std::int64_t samples);

  /// Makes room for so many tasks.
  void reserve(std::size_t tasks);
  TaskId append(const TaskView& task);
  TaskId add(const TaskSpec& spec);
  /// Adds to an earlier task's lists (a free is often known only later). A predecessor that the task
  /// has already is not added again.
  void add_free(TaskId task, BufferId buffer);
  void add_after(TaskId task, TaskId predecessor);

  std::size_t size() const { return graph_.size(); }
  DeviceId device(TaskId task) const { return graph_.device[index(task)]; }
  StreamId stream(TaskId task) const { return graph_.stream[index(task)]; }
  /// The predecessors that the task was added with; valid until the next task is added.
  std::span<const TaskId> after(TaskId task) const { return graph_.after[index(task)]; }

  /// @throws Error(invalid_argument) naming the tasks of a cycle, or of a stream whose order
  ///   contradicts the dependencies; a device or predecessor out of range; a transfer without
  ///   source; a buffer allocated twice, freed before it is allocated, or never freed
  TaskGraph build() &&;

 private:
  /// Something for the list of an earlier task.
  template <typename T>
  struct Late {
    TaskId task{};
    T item{};
  };
  template <typename T>
  static void merge(Rows<T>& rows, const std::vector<Late<T>>& late, bool once);

  TaskGraph graph_;
  std::vector<Late<BufferId>> late_frees_;
  std::vector<Late<TaskId>> late_after_;
  std::unordered_multimap<std::size_t, OpId> interned_;  ///< by hash of the op
};

}  // namespace foreplan
