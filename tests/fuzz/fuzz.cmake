# One fuzzer for every reader: tools/fuzz runs it, tests/fuzz/targets.cpp lists the readers.
add_executable(fuzz_readers tests/fuzz/fuzz_readers.cpp tests/fuzz/targets.cpp
               tests/fuzz/mutation.cpp)
target_link_libraries(fuzz_readers PRIVATE foreplan_planner foreplan_models)
target_link_options(fuzz_readers PRIVATE -fsanitize=fuzzer)
