; run: fold raise
; rtol 1e-6
graph @g(%x: f32[3,8]) -> (%z) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] as f8e4m3fn[8,2] : f8e4m3fn[8,2]
  %s = const [1,2,0.5,0.25] as f8e8m0[2,2] : f8e8m0[2,2]
  %w = dequantize %c, %s {axis = 0, block = 4} : f32[8,2] from "dq"
  %b = const [1,2] : f32[2]
  %h = gemm %x, %w, %b : f32[3,2] from "fc"
  %d = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] as f8e5m2[8,2] : f8e5m2[8,2]
  %u = const [1,2,0.5,0.25,1,1,2,2] as f8e8m0[8,1] : f8e8m0[8,1]
  %v = dequantize %d, %u {axis = 1, block = 32} : f32[8,2] from "dq2"
  %t = transpose %v {perm = [1,0]} : f32[2,8] from "turn"
  %z = matmul %h, %t : f32[3,8] from "product"
}
; --- products read codes by blocks as they are stored, also of a matrix that is turned
graph @g(%x: f32[3,8]) -> (%z) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] : f8e4m3fn[8,2]
  %s = const [1,2,0.5,0.25] : f8e8m0[2,2]
  %6 = block_matmul %x, %c, %s {block = 4} : f32[3,2] from "fc", "dq"
  %b = const [1,2] : f32[2]
  %h = add %6, %b : f32[3,2] from "fc", "dq"
  %d = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] : f8e5m2[8,2]
  %u = const [1,2,0.5,0.25,1,1,2,2] : f8e8m0[8,1]
  %z = block_matmul %h, %d, %u {trans_b = 1} : f32[3,8] from "product", "turn", "dq2"
}
