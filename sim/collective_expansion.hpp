#pragma once

#include <cstdint>
#include <vector>

#include "sim/collective.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// The tasks of one collective while it is being expanded: pulls between ranks and what they wait
/// for.
///
/// The buffer is cut into pieces, which rounds move in runs. A pull waits for whoever wrote these
/// pieces on the rank that it reads, and for what its own rank did before in the same lane. That a
/// piece is not overwritten while another rank still reads it is for the algorithm to see to.
class CollectiveExpansion {
 public:
  /// How a buffer is cut: into `outer` parts, and each of these into `inner` pieces; piece p is part
  /// p / inner.
  struct Cut {
    int outer = 1;
    int inner = 1;
  };

  CollectiveExpansion(TaskGraphBuilder& builder, const CollectiveSpec& spec, Cut cut, int lanes);

  /// `rank` reads pieces [first, first + count) of rank `from`.
  struct Pull {
    int rank = 0;
    int from = 0;
    int first = 0;
    int count = 1;
    int lane = 0;       ///< 0: on the stream; others run beside it
    bool adds = false;  ///< to what is there, through a buffer of its own; else over it
    TaskId wait{-1};    ///< besides; -1: nothing
  };
  /// A pull whose pieces count as the rank's own from `land` on.
  struct Pulled {
    Pull pull;
    TaskId task{-1};  ///< -1: the pieces are empty, there is no task
    BufferId staging{-1};
  };

  /// Adds the transfer.
  Pulled fetch(const Pull& pull);
  /// Adds what was fetched to the rank's data, where there is data, when `reader` (-1: none) no longer
  /// reads it. What other ranks pull from now on waits for it.
  void land(const Pulled& pulled, TaskId reader = TaskId{-1});
  /// Both at once.
  void move(const Pull& pull) { land(fetch(pull)); }

  /// Who last wrote `piece` on `rank`; -1: nobody.
  TaskId writer(int rank, int piece) const { return writer_[cell(rank, piece)]; }

  /// The latest pull from `rank`; -1: none. Who waits for it lets `rank` send to one at a time.
  TaskId last_read(int rank) const { return last_read_[at(rank)]; }

  CollectiveTasks result() &&;

 private:
  struct Read {
    int from = 0;
    int reader = 0;  ///< rank and lane
    TaskId task{};
  };

  static std::size_t at(int number) { return static_cast<std::size_t>(number); }
  std::size_t cell(int rank, int piece) const { return at(rank) * at(pieces_) + at(piece); }
  std::vector<TaskId>& previous(int rank, int lane) { return previous_[at(rank * lanes_ + lane)]; }
  bool streams(int lane) const { return lane == 0 && spec_.stream != kNoStream; }
  Bytes size(const Pull& pull) const;
  BufferRange range(int rank, const Pull& pull) const;
  std::vector<TaskId> ready(const Pull& pull) const;
  TaskId add(int rank, int lane, TaskSpec task);
  std::vector<TaskId> done(int rank);
  std::vector<std::vector<TaskId>> released() const;

  TaskGraphBuilder& builder_;
  const CollectiveSpec& spec_;
  int ranks_;
  int pieces_;
  int lanes_;
  std::vector<std::int64_t> begin_;            ///< by piece, and the end [B]
  std::vector<std::vector<TaskId>> previous_;  ///< by rank and lane: what its next task waits for
  std::vector<TaskId> writer_;                 ///< by rank and piece
  std::vector<TaskId> last_;                   ///< by rank and lane
  std::vector<TaskId> last_read_;              ///< by rank
  std::vector<Read> reads_;                    ///< in order
  std::int32_t collective_ = -1;
};

}  // namespace foreplan
