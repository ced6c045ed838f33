; run: scalify quantize settle --recipe fp8 --scale tensor
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
; --- of two products the smaller exponent moves; a constant goes where the other operand is
graph @g(%x: f32[2,64]) -> (%y, %z) {
  %3 = rebalance %x, -2 : f32[2,64] * 2^-2
  %4 = cast %3 : f8e4m3fn[2,64] * 2^-2
  %u = const @u : f8e4m3fn[64,10] * 2^-12
  %s = matmul %4, %u : f32[2,10] * 2^-14
  %v = const @v : f8e4m3fn[64,10] * 2^-5
  %t = matmul %4, %v : f32[2,10] * 2^-7
  %9 = rebalance %s, -7 : f32[2,10] * 2^-7
  %a = add %9, %t : f32[2,10] * 2^-7
  %11 = relu %a : f32[2,10] * 2^-7
  %half = const 0.5 : f32[] * 2^-14
  %13 = max %s, %half : f32[2,10] * 2^-14
  %y = rebalance %11, 0 : f32[2,10]
  %z = rebalance %13, 0 : f32[2,10]
}
