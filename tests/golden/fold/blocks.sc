; run: fold
; idempotent
graph @g(%x: f32[2,4]) -> (%p, %q, %r) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] as f8e4m3fn[4,4] : f8e4m3fn[4,4]
  %s = const [1,2,0.5,0.25] as f8e8m0[1,4] : f8e8m0[1,4]
  %t = const [1,2,0.5,0.25] as f8e8m0[4,1] : f8e8m0[4,1]
  %u = const [1,2,0.5,0.25,1,2,4,8] as f8e8m0[2,4] : f8e8m0[2,4]
  %a = dequantize %c, %s {axis = 0, block = 4} : f32[4,4] from "along the sum"
  %b = dequantize %c, %t {axis = 1, block = 4} : f32[4,4] from "across it"
  %d = dequantize %c, %u {axis = 0, block = 3} : f32[4,4] from "of three"
  %p = matmul %x, %a : f32[2,4] from "p"
  %q = matmul %x, %b : f32[2,4] from "q"
  %r = matmul %x, %d : f32[2,4] from "r"
}
; --- codes stay where a product will read them; of others the numbers are made once, not on each run
graph @g(%x: f32[2,4]) -> (%p, %q, %r) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] : f8e4m3fn[4,4]
  %s = const [1,2,0.5,0.25] : f8e8m0[1,4]
  %a = dequantize %c, %s {axis = 0, block = 4} : f32[4,4] from "along the sum"
  %p = matmul %x, %a : f32[2,4] from "p"
  %b = const [1,2,-3,4,10,12,-14,16,0.5,1,1.5,-2,1.25,1.5,1.75,2] : f32[4,4] from "across it"
  %q = matmul %x, %b : f32[2,4] from "q"
  %d = const [1,4,-1.5,1,5,12,-3.5,2,1,4,1.5,-1,5,12,28,64] : f32[4,4] from "of three"
  %r = matmul %x, %d : f32[2,4] from "r"
}
