; run: scalify quantize simplify --recipe fp8-weights
; rtol 0.1
; blob u rms 0.02
; blob v rms 3
graph @g(%x: f32[2,64]) -> (%y, %z) {
  %u = const @u : f32[64,10]
  %v = const @v : f32[64,10]
  %s = matmul %x, %u : f32[2,10]
  %t = matmul %x, %v : f32[2,10]
  %a = add %s, %t : f32[2,10]
  %y = relu %a : f32[2,10]
  %half = const 0.5 : f32[]
  %z = max %s, %half : f32[2,10]
}
; --- of two stored products the smaller exponent moves; a constant goes where the other operand is
graph @g(%x: f32[2,64]) -> (%y, %z) {
  %u = const @u : f8e4m3fn[64,10] * 2^-12
  %s = matmul %x, %u : f32[2,10] * 2^-12
  %v = const @v : f8e4m3fn[64,10] * 2^-5
  %t = matmul %x, %v : f32[2,10] * 2^-5
  %7 = rebalance %s, -5 : f32[2,10] * 2^-5
  %a = add %7, %t : f32[2,10] * 2^-5
  %9 = relu %a : f32[2,10] * 2^-5
  %half = const 0.5 : f32[] * 2^-12
  %11 = max %s, %half : f32[2,10] * 2^-12
  %y = rebalance %9, 0 : f32[2,10]
  %z = rebalance %11, 0 : f32[2,10]
}
