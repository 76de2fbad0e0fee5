find_package(benchmark REQUIRED)

# One benchmark program a file: bench/<name>_bench.cpp.
file(GLOB sources CONFIGURE_DEPENDS bench/*_bench.cpp)
foreach(source ${sources})
  get_filename_component(target ${source} NAME_WE)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE foreplan_tools benchmark::benchmark benchmark::benchmark_main)
  target_compile_definitions(${target} PRIVATE FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
endforeach()
