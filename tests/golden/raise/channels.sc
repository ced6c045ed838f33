; run: raise
; idempotent
; rtol 1e-6
graph @channels(%i: f32[n,2,6,6], %x: f32[n,8]) -> (%a, %b, %c, %d, %two, %shared, %e, %f) {
  %eps = const 1e-05 : f32[]
  %gamma = const @gamma : f32[3]
  %beta = const @beta : f32[3]
  %mean = const @mean : f32[3]
  %var = const [0.5,2,1.25] : f32[3]
  %k = const @k : f32[3,2,3,3]
  %1 = conv %i, %k {strides = [1,1], pads = [1,1,1,1], dilations = [1,1]} : f32[n,3,6,6] from "Conv"
  %a = batchnorm %1, %gamma, %beta, %mean, %var, %eps : f32[n,3,6,6] from "BatchNorm"
  %w = const @w : f32[8,3]
  %v = const @v : f32[3]
  %2 = gemm %x, %w, %v : f32[n,3] from "Gemm"
  %b = batchnorm %2, %gamma, %beta, %mean, %var, %eps : f32[n,3] from "BatchNorm1d"
  %depth = const @depth : f32[2,1,3,3]
  %per = const @per : f32[1,2,1,1]
  %up = const @up : f32[2,1,1]
  %3 = conv %i, %depth {strides = [1,1], pads = [1,1,1,1], dilations = [1,1], group = 2} : f32[n,2,6,6] from "Depthwise"
  %4 = mul %per, %3 : f32[n,2,6,6] from "scale"
  %5 = add %4, %up : f32[n,2,6,6] from "shift"
  %6 = sub %5, %per : f32[n,2,6,6] from "back"
  %c = add %per, %6 : f32[n,2,6,6] from "again"
  %wt = const @wt : f32[3,8]
  %7 = gemm %x, %wt {trans_b = 1} : f32[n,3] from "Gemm_1"
  %d = div %7, %var : f32[n,3] from "Div"
  %kept = const @kept : f32[3,2,1,1]
  %8 = conv %i, %kept {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,6,6] from "level1"
  %e = batchnorm %8, %gamma, %beta, %mean, %var, %eps : f32[n,3,6,6] from "level1.bn"
  %9 = conv %i, %kept {strides = [2,2], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,3,3] from "level2"
  %f = batchnorm %9, %gamma, %beta, %mean, %var, %eps : f32[n,3,3,3] from "level2.bn"
  %twice = const @twice : f32[3,2,1,1]
  %two = conv %i, %twice {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,6,6] from "both"
  %shared = batchnorm %two, %gamma, %beta, %mean, %var, %eps : f32[n,3,6,6] from "both.bn"
}
; --- what has a number for each channel joins weight and bias; not where others read the weight, or the result
graph @channels(%i: f32[n,2,6,6], %x: f32[n,8]) -> (%a, %b, %c, %d, %two, %shared, %e, %f) {
  %4 = const @fold.fd19d3a3e4f81e3d : f32[3,2,3,3] from "Conv", "BatchNorm"
  %5 = const @fold.59e040ee29e2668d : f32[3] from "Conv", "BatchNorm"
  %a = conv %i, %4, %5 {strides = [1,1], pads = [1,1,1,1], dilations = [1,1]} : f32[n,3,6,6] from "Conv", "BatchNorm"
  %7 = const @fold.d96dfeb1f9a76f2e : f32[8,3] from "Gemm", "BatchNorm1d"
  %8 = const @fold.b5c31a4ba8ae8234 : f32[3] from "Gemm", "BatchNorm1d"
  %b = gemm %x, %7, %8 : f32[n,3] from "Gemm", "BatchNorm1d"
  %10 = const @fold.76ec5069fb481123 : f32[2,1,3,3] from "Depthwise", "scale"
  %11 = const @fold.40cb907cdea1a246 : f32[2] from "Depthwise", "scale", "shift", "back", "again"
  %c = conv %i, %10, %11 {strides = [1,1], pads = [1,1,1,1], dilations = [1,1], group = 2} : f32[n,2,6,6] from "Depthwise", "scale", "shift", "back", "again"
  %13 = const @fold.13b5334f6ea34215 : f32[3,8] from "Gemm_1", "Div"
  %d = gemm %x, %13 {trans_b = 1} : f32[n,3] from "Gemm_1", "Div"
  %kept = const @kept : f32[3,2,1,1]
  %16 = conv %i, %kept {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,6,6] from "level1"
  %gamma = const @gamma : f32[3]
  %beta = const @beta : f32[3]
  %mean = const @mean : f32[3]
  %var = const [0.5,2,1.25] : f32[3]
  %eps = const 1e-05 : f32[]
  %e = batchnorm %16, %gamma, %beta, %mean, %var, %eps : f32[n,3,6,6] from "level1.bn"
  %23 = conv %i, %kept {strides = [2,2], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,3,3] from "level2"
  %f = batchnorm %23, %gamma, %beta, %mean, %var, %eps : f32[n,3,3,3] from "level2.bn"
  %twice = const @twice : f32[3,2,1,1]
  %two = conv %i, %twice {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[n,3,6,6] from "both"
  %shared = batchnorm %two, %gamma, %beta, %mean, %var, %eps : f32[n,3,6,6] from "both.bn"
}
