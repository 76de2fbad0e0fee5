# The tests of the CUDA half, built twice: against an emulation on the host, which runs everywhere, and
# against the real libraries, where each test that finds no GPU skips and says why.
file(GLOB cuda_test_sources CONFIGURE_DEPENDS tests/runtime/cuda/*.cpp tests/profiler/cupti/*.cpp
     tests/tools/cuda/*.cpp)
if(NOT cuda_test_sources)
  return()
endif()

function(foreplan_cuda_test_program name)
  add_executable(${name} ${cuda_test_sources})
  target_compile_options(${name} PRIVATE -O1)
  target_link_libraries(${name} PRIVATE ${ARGN} foreplan_tools foreplan_options
                        GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
endfunction()

add_subdirectory(tests/cuda_emulation)
foreplan_cuda_test_program(cuda_emulated_tests foreplan_cuda_emulated)
# What no GPU does on demand is tested on the emulation only.
file(GLOB emulated_test_sources CONFIGURE_DEPENDS tests/cuda_emulation/tests/*.cpp)
target_sources(cuda_emulated_tests PRIVATE ${emulated_test_sources})
gtest_discover_tests(cuda_emulated_tests TEST_PREFIX Emulated. DISCOVERY_MODE PRE_TEST
                     WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})

foreplan_cuda_test_program(cuda_gpu_tests foreplan_cuda_objects_runtime CUDA::cublasLt CUDA::cudart_static)
if(TARGET foreplan_cuda_objects_profiler)
  target_link_libraries(cuda_gpu_tests PRIVATE foreplan_cuda_objects_profiler CUDA::cupti)
endif()
set_target_properties(cuda_gpu_tests PROPERTIES BUILD_RPATH "${foreplan_cuda_runpath}"
                      INSTALL_RPATH "${foreplan_cuda_runpath}")
gtest_discover_tests(cuda_gpu_tests TEST_PREFIX Gpu. DISCOVERY_MODE PRE_TEST
                     WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
