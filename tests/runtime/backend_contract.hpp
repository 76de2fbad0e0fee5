#pragma once

// What every Backend keeps to: included by one file of each test program, which says on whom
// (INSTANTIATE_TEST_SUITE_P of BackendContract).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/backend.hpp"
#include "sim/error.hpp"
#include "tests/runtime/rejection.hpp"

namespace foreplan {

/// A kind of backend to be tested.
struct BackendMaker {
  std::string name;
  std::function<std::unique_ptr<Backend>(int devices)> make;
  std::function<std::string()> why_not = [] { return std::string(); };  ///< why this machine has none
  Duration skew{};  ///< how far the clocks of its devices may be apart
};

inline std::string maker_name(const testing::TestParamInfo<BackendMaker>& info) {
  return info.param.name;
}

/// Tests that skip, saying why, where the backend has nothing to run on.
class OnBackend : public testing::TestWithParam<BackendMaker> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().why_not(); !why.empty()) GTEST_SKIP() << why;
  }
};
class BackendContract : public OnBackend {};

namespace {

using testing::HasSubstr;

const Op kAdd{.key = {.op = "add", .shape = {1}}, .flops = {}, .traffic = {}};
const Op kAccumulate{.key = {.op = "accumulate", .shape = {1}}, .flops = {}, .traffic = {}};

/// A backend whose devices hold floats, addressed by number.
class Floats {
 public:
  Floats(const BackendMaker& maker, int devices, std::int64_t count = 64)
      : backend(maker.make(devices)) {
    for (int device = 0; device < devices; ++device) {
      backend->reserve(DeviceId{device}, Bytes{4 * count});
    }
  }
  std::byte* at(int device, std::int64_t i) {
    return backend->address(DeviceId{device}, Bytes{4 * i});
  }
  float value(int device, std::int64_t i) {
    float result = 0;
    backend->read(DeviceId{device}, Bytes{4 * i}, std::as_writable_bytes(std::span(&result, 1)));
    return result;
  }
  void set(int device, std::int64_t i, float value) {
    backend->write(DeviceId{device}, Bytes{4 * i}, std::as_bytes(std::span(&value, 1)));
  }
  TaskId next() { return TaskId{tasks++}; }
  void add(BackendStream stream, const std::byte* a, const std::byte* b, std::byte* y) {
    backend->launch(stream, next(), kAdd, {a, b}, {y});
  }
  void copy(BackendStream stream, const std::byte* from, std::byte* to) {
    backend->copy(stream, next(), from, to, Bytes{4});
  }
  MeasuredStep run() { return backend->run(static_cast<std::size_t>(tasks), {}); }

  std::unique_ptr<Backend> backend;
  int tasks = 0;
};

// y = x + x, thrice in place: 1, 2, 4, 8; any other order gives the same, so each step also adds
// its own number: ((1 + 2) + 3) with copies between, which only the stated order yields.
TEST_P(BackendContract, RunsAStreamInOrder) {
  Floats f(GetParam(), 1);
  const BackendStream stream = f.backend->add_stream(DeviceId{0});
  f.set(0, 0, 1);
  f.copy(stream, f.at(0, 0), f.at(0, 1));             // 1: 1
  f.add(stream, f.at(0, 1), f.at(0, 0), f.at(0, 1));  // 1: 2
  f.add(stream, f.at(0, 1), f.at(0, 1), f.at(0, 2));  // 2: 4
  f.copy(stream, f.at(0, 2), f.at(0, 0));             // 0: 4
  f.run();
  EXPECT_EQ(f.value(0, 2), 4);
  f.run();
  EXPECT_EQ(f.value(0, 2), 16);  // again from 4
}

TEST_P(BackendContract, TimesAreInOrderAndCountFromTheStart) {
  Floats f(GetParam(), 2);
  const BackendStream a = f.backend->add_stream(DeviceId{0});
  const BackendStream b = f.backend->add_stream(DeviceId{1});
  const EventId event = f.backend->add_event();
  for (int i = 0; i < 10; ++i) f.add(a, f.at(0, 0), f.at(0, 0), f.at(0, 1));
  f.backend->record(a, event);
  f.backend->wait(b, event);
  f.copy(b, f.at(0, 1), f.at(1, 0));
  for (int run = 0; run < 3; ++run) {
    const Timeline t = f.run().timeline;
    ASSERT_EQ(t.start.size(), 11U);
    EXPECT_GE(t.start[0], Duration::zero());
    for (std::size_t i = 0; i < 11; ++i) {
      EXPECT_LE(t.start[i], t.finish[i]);
      if (i > 0) {
        EXPECT_GE(t.start[i] + GetParam().skew, t.finish[i - 1]);
      }
    }
  }
}

// A value goes round a ring of devices, growing by one at each: devices x rounds in the end.
void go_round(const BackendMaker& maker, int devices, int rounds) {
  Floats f(maker, devices);
  std::vector<BackendStream> streams;
  for (int d = 0; d < devices; ++d) {
    streams.push_back(f.backend->add_stream(DeviceId{d}));
    f.set(d, 1, 1);
  }
  std::optional<EventId> event;
  for (int i = 0; i < devices * rounds; ++i) {
    const int here = i % devices, before = (i + devices - 1) % devices;
    const BackendStream stream = streams[static_cast<std::size_t>(here)];
    if (event) f.backend->wait(stream, *event);
    f.copy(stream, f.at(before, 0), f.at(here, 2));
    f.add(stream, f.at(here, 2), f.at(here, 1), f.at(here, 0));
    event = f.backend->add_event();
    f.backend->record(stream, *event);
  }
  for (int run = 1; run <= 5; ++run) {
    f.run();
    ASSERT_EQ(f.value(devices - 1, 0), static_cast<float>(run * devices * rounds));
  }
}

TEST_P(BackendContract, EventsJoinDevices) { go_round(GetParam(), 2, 50); }
TEST_P(BackendContract, ManyDevicesGoOn) { go_round(GetParam(), 9, 4); }

// The first stream waits for the second, the second for the third: served in turns, not to the end.
TEST_P(BackendContract, EventsJoinStreamsOfOneDevice) {
  Floats f(GetParam(), 1);
  std::vector<BackendStream> streams;
  std::vector<EventId> events;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(f.backend->add_stream(DeviceId{0}));
    events.push_back(f.backend->add_event());
  }
  f.set(0, 0, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    if (i < 2) f.backend->wait(streams[i], events[i + 1]);
    // Stream 2 makes 2 of 1, stream 1 makes 4 of it, stream 0 makes 8.
    f.add(streams[i], f.at(0, 0), f.at(0, 0), f.at(0, 0));
    f.backend->record(streams[i], events[i]);
  }
  const Timeline t = f.run().timeline;
  EXPECT_EQ(f.value(0, 0), 8);
  EXPECT_GE(t.start[1], t.finish[2]);
  EXPECT_GE(t.start[0], t.finish[1]);
}

TEST_P(BackendContract, RefusesAnEventThatCannotCome) {
  Floats f(GetParam(), 2);
  const BackendStream a = f.backend->add_stream(DeviceId{0});
  const BackendStream b = f.backend->add_stream(DeviceId{1});
  const EventId first = f.backend->add_event(), second = f.backend->add_event();
  f.backend->wait(a, second);
  f.copy(a, f.at(0, 0), f.at(0, 1));
  f.backend->record(a, first);
  f.backend->wait(b, first);
  f.copy(b, f.at(1, 0), f.at(1, 1));
  f.backend->record(b, second);
  EXPECT_THAT(rejection([&] { f.run(); }),
              HasSubstr("device 0, task 0: waits for an event that cannot come"));
}

// Device 1 fails; device 0 waits for it and must not wait for ever. The next run is sound again.
TEST_P(BackendContract, AFailureEndsTheStepWithOneMessage) {
  Floats f(GetParam(), 2);
  const Op loss{
      .key = {.op = "softmax_cross_entropy", .shape = {1, 2}}, .flops = {}, .traffic = {}};
  const BackendStream a = f.backend->add_stream(DeviceId{0});
  const BackendStream b = f.backend->add_stream(DeviceId{1});
  const EventId event = f.backend->add_event();
  f.backend->wait(a, event);
  f.copy(a, f.at(0, 0), f.at(0, 1));
  f.backend->launch(b, f.next(), loss, {f.at(1, 0), f.at(1, 2)}, {f.at(1, 4), f.at(1, 6)});
  f.backend->record(b, event);
  f.set(1, 2, 1.0F);  // as a label: 0x3f800000
  EXPECT_THAT(rejection([&] { f.run(); }),
              HasSubstr("device 1, task 1: sample 0: expected a label in 0..1"));
  f.set(1, 2, 0.0F);
  EXPECT_EQ(f.run().timeline.start.size(), 2U);
}

TEST_P(BackendContract, ReserveForgetsWhatWasRecorded) {
  Floats f(GetParam(), 1);
  const BackendStream stream = f.backend->add_stream(DeviceId{0});
  f.backend->launch(stream, f.next(), kAccumulate, {f.at(0, 0)}, {f.at(0, 1)});
  f.backend->reserve(DeviceId{0}, Bytes{8});
  f.set(0, 0, 1);
  f.run();
  EXPECT_EQ(f.value(0, 1), 0);
  EXPECT_THAT(rejection([&] { f.copy(stream, f.at(0, 0), f.at(0, 1)); }),
              HasSubstr("no such stream"));
}

TEST_P(BackendContract, ArenasAreZeroedAndAligned) {
  const std::unique_ptr<Backend> backend = GetParam().make(1);
  constexpr std::int64_t kSize = 5'000'001;
  backend->reserve(DeviceId{0}, Bytes{kSize});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(backend->address(DeviceId{0}, Bytes{0})) % 64, 0U);
  std::vector<std::byte> content(kSize, std::byte{1});
  backend->read(DeviceId{0}, Bytes{0}, content);
  EXPECT_EQ(content, std::vector<std::byte>(kSize));
}

TEST_P(BackendContract, RefusesWhatIsOutsideAnArena) {
  const std::unique_ptr<Backend> backend = GetParam().make(2);
  backend->reserve(DeviceId{0}, Bytes{64});
  std::vector<std::byte> data(65);
  EXPECT_THAT(rejection([&] { backend->write(DeviceId{0}, Bytes{0}, data); }),
              HasSubstr("outside the arena of 64 bytes of device 0"));
  EXPECT_THAT(rejection([&] { backend->address(DeviceId{0}, Bytes{-1}); }), HasSubstr("outside"));
  EXPECT_THAT(rejection([&] { backend->add_stream(DeviceId{2}); }),
              HasSubstr("a device in 0..1, got 2"));
  EXPECT_THAT(rejection([] { GetParam().make(0); }), HasSubstr("at least 1 device, got 0"));
}

TEST_P(BackendContract, RefusesATimelineTooShort) {
  Floats f(GetParam(), 1);
  const BackendStream stream = f.backend->add_stream(DeviceId{0});
  f.copy(stream, f.at(0, 0), f.at(0, 1));
  EXPECT_THAT(rejection([&] { f.backend->run(0, {}); }), HasSubstr("task 0 was recorded"));
}

TEST_P(BackendContract, SeveralBackendsLiveSideBySide) {
  Floats a(GetParam(), 2), b(GetParam(), 2);
  for (Floats* f : {&a, &b}) {
    const BackendStream stream = f->backend->add_stream(DeviceId{1});
    f->set(1, 0, 3);
    f->copy(stream, f->at(1, 0), f->at(1, 1));
  }
  for (int i = 0; i < 5; ++i) {
    a.run();
    b.run();
  }
  EXPECT_EQ(a.value(1, 1) + b.value(1, 1), 6);
}

}  // namespace
}  // namespace foreplan
